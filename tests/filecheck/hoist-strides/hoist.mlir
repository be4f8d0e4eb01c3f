// RUN: tercet opt %s -p 'hoist-strides' | filecheck %s
// The 1x1 convolution reads every second row and every third column: the first one, and what follows it, make only those.

func.func @main(%x: tensor<1x1x5x8xf32>) -> (tensor<1x1x3x3xf32>) {
  %w = tn.constant {value = @w, values = #tn.values<float32 : 0.5, -1.0, 2.0>} : () -> tensor<1x1x1x3xf32>
  %c = tn.constant {value = @c, values = #tn.values<float32 : 0.25>} : () -> tensor<1x1x1xf32>
  %v = tn.constant {value = @v, values = #tn.values<float32 : 3.0>} : () -> tensor<1x1x1x1xf32>
  %0 = tn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 1, 0, 1>, strides = array<i64: 1, 1>} : (tensor<1x1x5x8xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x5x8xf32>
  %1 = tn.add %0, %c : (tensor<1x1x5x8xf32>, tensor<1x1x1xf32>) -> tensor<1x1x5x8xf32>
  %2 = tn.relu %1 : (tensor<1x1x5x8xf32>) -> tensor<1x1x5x8xf32>
  %3 = tn.conv %2, %v {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 3>} : (tensor<1x1x5x8xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x3x3xf32>
  func.return %3 : tensor<1x1x3x3xf32>
}

// CHECK: [[A:%.+]] = tn.conv %x, {{.*}} pads = array<i64: 0, 1, 0, 1>, strides = array<i64: 2, 3>}
// CHECK: [[B:%.+]] = tn.add [[A]], {{.*}} -> tensor<1x1x3x3xf32>
// CHECK: [[C:%.+]] = tn.relu [[B]]
// CHECK: tn.conv [[C]], {{.*}} strides = array<i64: 1, 1>}
