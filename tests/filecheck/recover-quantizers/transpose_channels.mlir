// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// A transpose of q * s with a scale for each channel transposes the scale too.

func.func @main(%q: tensor<1x2x3x!tn.int<-1:1>>) -> (tensor<1x3x2xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5, 0.25>} : () -> tensor<2x1xf32>
  %0 = tn.dequantize %q, %s : (tensor<1x2x3x!tn.int<-1:1>>, tensor<2x1xf32>) -> tensor<1x2x3xf32>
  %1 = tn.transpose %0 {perm = array<i64: 0, 2, 1>} : (tensor<1x2x3xf32>) -> tensor<1x3x2xf32>
  func.return %1 : tensor<1x3x2xf32>
}

// CHECK: [[Q:%.+]] = tn.transpose %q
// CHECK: [[S:%.+]] = tn.constant {{.*}}<float32 : 0.5, 0.25>} : () -> tensor<1x1x2xf32>
// CHECK: tn.dequantize [[Q]], [[S]]
