// RUN: tercet opt %s -p 'classify-weights' | filecheck %s
// Float weights that are exactly integers times a scale become those; others stay.

func.func @main(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>) {
  %w = tn.constant {value = @w, values = #tn.values<float32 : 0.3, -0.3, 0.0, 0.3>} : () -> tensor<2x2xf32>
  %u = tn.constant {value = @u, values = #tn.values<float32 : 0.3, -0.31, 0.0, 0.7>} : () -> tensor<2x2xf32>
  %0 = tn.matmul %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  %1 = tn.matmul %0, %u : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  func.return %1 : tensor<1x2xf32>
}

// CHECK: [[Q:%.+]] = tn.constant {{.*}}<int8 : 1, -1, 0, 1>} : () -> tensor<2x2x!tn.int<-1:1>>
// CHECK: [[S:%.+]] = tn.constant {{.*}}<float32 : 0.3>}
// CHECK: [[W:%.+]] = tn.dequantize [[Q]], [[S]]
// CHECK: [[Y:%.+]] = tn.matmul %x, [[W]]
// CHECK: tn.matmul [[Y]], %u
