// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// A movement of q * s is the movement of q, times s.

func.func @main(%q: tensor<1x4x!tn.int<-1:1>>) -> (tensor<2x2xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.dequantize %q, %s : (tensor<1x4x!tn.int<-1:1>>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.reshape %0 {shape = array<i64: 2, 2>} : (tensor<1x4xf32>) -> tensor<2x2xf32>
  func.return %1 : tensor<2x2xf32>
}

// CHECK: [[Q:%.+]] = tn.reshape %q
// CHECK: tn.dequantize [[Q]]
