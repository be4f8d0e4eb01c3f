// RUN: tercet opt %s -p 'fold-batch-norm' | filecheck %s
// Elsewhere batch norm is x * k + b: k = 2 / sqrt(4), b = 1 - 0.5 * k.

func.func @main(%x: tensor<1x1x2x2xf32>) -> (tensor<1x1x2x2xf32>) {
  %g = tn.constant {value = @g, values = #tn.values<float32 : 2.0>} : () -> tensor<1xf32>
  %b = tn.constant {value = @b, values = #tn.values<float32 : 1.0>} : () -> tensor<1xf32>
  %m = tn.constant {value = @m, values = #tn.values<float32 : 0.5>} : () -> tensor<1xf32>
  %v = tn.constant {value = @v, values = #tn.values<float32 : 4.0>} : () -> tensor<1xf32>
  %0 = tn.batch_norm %x, %g, %b, %m, %v {epsilon = 0.0 : f64} : (tensor<1x1x2x2xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x2x2xf32>
  func.return %0 : tensor<1x1x2x2xf32>
}

// CHECK: [[K:%.+]] = tn.constant {{.*}}<float32 : 1.0>} : () -> tensor<1x1x1xf32>
// CHECK: [[B:%.+]] = tn.constant {{.*}}<float32 : 0.5>} : () -> tensor<1x1x1xf32>
// CHECK: [[M:%.+]] = tn.mul %x, [[K]]
// CHECK: tn.add [[M]], [[B]]
