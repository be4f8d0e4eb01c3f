// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// (q * 1) * s is q * s.

func.func @main(%q: tensor<1x4x!tn.int<-1:1>>) -> (tensor<1x4xf32>) {
  %one = tn.constant {value = @one, values = #tn.values<float32 : 1.0>} : () -> tensor<f32>
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.dequantize %q, %one : (tensor<1x4x!tn.int<-1:1>>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.mul %0, %s : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  func.return %1 : tensor<1x4xf32>
}

// CHECK: tn.dequantize %q, %s
// CHECK-NOT: tn.mul
