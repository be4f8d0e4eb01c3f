// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// A concat of tensors with the same scale is that of their integers.

func.func @main(%p: tensor<1x2x!tn.int<-1:1>>, %q: tensor<1x2x!tn.int<0:3>>) -> (tensor<1x4xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.dequantize %p, %s : (tensor<1x2x!tn.int<-1:1>>, tensor<f32>) -> tensor<1x2xf32>
  %1 = tn.dequantize %q, %s : (tensor<1x2x!tn.int<0:3>>, tensor<f32>) -> tensor<1x2xf32>
  %2 = tn.concat %0, %1 {axis = 1 : i64} : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x4xf32>
  func.return %2 : tensor<1x4xf32>
}

// CHECK: [[Q:%.+]] = tn.concat %p, %q
// CHECK: tn.dequantize [[Q]]
