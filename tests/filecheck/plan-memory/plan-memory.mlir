// RUN: tercet opt %s -p 'select-engines,plan-memory' --target generic --engine loops | filecheck %s
// Every kernel's result has a place; the last one's is the caller's (-1).

func.func @main(%x: tensor<1x1x2x2xf32>) -> (tensor<1x1xf32>) {
  %0 = tn.max_pool %x {dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x1x1xf32>
  %1 = tn.reshape %0 {shape = array<i64: 1, 1>} : (tensor<1x1x1x1xf32>) -> tensor<1x1xf32>
  %2 = tn.softmax %1 {axis = 1 : i64} : (tensor<1x1xf32>) -> tensor<1x1xf32>
  func.return %2 : tensor<1x1xf32>
}

// CHECK: offsets = array<i64: 0>
// CHECK: offsets = array<i64: -1>
