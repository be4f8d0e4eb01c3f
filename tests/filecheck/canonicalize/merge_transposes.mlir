// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// transpose(transpose(x)) is one transpose.

func.func @main(%x: tensor<2x3x4xf32>) -> (tensor<4x3x2xf32>) {
  %0 = tn.transpose %x {perm = array<i64: 1, 2, 0>} : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %1 = tn.transpose %0 {perm = array<i64: 1, 0, 2>} : (tensor<3x4x2xf32>) -> tensor<4x3x2xf32>
  func.return %1 : tensor<4x3x2xf32>
}

// CHECK: tn.transpose %x {perm = array<i64: 2, 1, 0>}
// CHECK-NOT: tn.transpose
