// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// reshape(reshape(x)) is one reshape.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<4x1xf32>) {
  %0 = tn.reshape %x {shape = array<i64: 2, 2>} : (tensor<1x4xf32>) -> tensor<2x2xf32>
  %1 = tn.reshape %0 {shape = array<i64: 4, 1>} : (tensor<2x2xf32>) -> tensor<4x1xf32>
  func.return %1 : tensor<4x1xf32>
}

// CHECK: tn.reshape %x {shape = array<i64: 4, 1>}
// CHECK-NOT: tn.reshape
