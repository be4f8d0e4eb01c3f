// RUN: tercet opt %s -p 'fold-batch-norm' | filecheck %s
// Behind a float convolution, with no quantizer after it, batch norm becomes part of the weights.

func.func @main(%x: tensor<1x1x2x2xf32>) -> (tensor<1x1x2x2xf32>) {
  %w = tn.constant {value = @w, values = #tn.values<float32 : 0.3>} : () -> tensor<1x1x1x1xf32>
  %g = tn.constant {value = @g, values = #tn.values<float32 : 2.0>} : () -> tensor<1xf32>
  %b = tn.constant {value = @b, values = #tn.values<float32 : 1.0>} : () -> tensor<1xf32>
  %m = tn.constant {value = @m, values = #tn.values<float32 : 0.5>} : () -> tensor<1xf32>
  %v = tn.constant {value = @v, values = #tn.values<float32 : 4.0>} : () -> tensor<1xf32>
  %0 = tn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x1x2x2xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x2x2xf32>
  %1 = tn.batch_norm %0, %g, %b, %m, %v {epsilon = 0.0 : f64} : (tensor<1x1x2x2xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x2x2xf32>
  func.return %1 : tensor<1x1x2x2xf32>
}

// CHECK: [[W:%.+]] = tn.constant {{.*}}<float32 : 0.3>}
// CHECK: [[B:%.+]] = tn.constant {{.*}}<float32 : 0.5>}
// CHECK: tn.conv %x, [[W]], [[B]]
// CHECK-NOT: tn.batch_norm
