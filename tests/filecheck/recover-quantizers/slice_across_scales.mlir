// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// A slice of q * s that leaves its channels whole is the slice of q, times their scales.

func.func @main(%q: tensor<1x3x2x!tn.int<-1:1>>) -> (tensor<1x3x1xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5, 0.25, 0.75>} : () -> tensor<3x1xf32>
  %0 = tn.dequantize %q, %s : (tensor<1x3x2x!tn.int<-1:1>>, tensor<3x1xf32>) -> tensor<1x3x2xf32>
  %1 = tn.slice %0 {sizes = array<i64: 1, 3, 1>, starts = array<i64: 0, 0, 1>, steps = array<i64: 1, 1, 1>} : (tensor<1x3x2xf32>) -> tensor<1x3x1xf32>
  func.return %1 : tensor<1x3x1xf32>
}

// CHECK: [[Q:%.+]] = tn.slice %q
// CHECK: tn.dequantize [[Q]], %s
