// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A transpose that moves axes of size 1 alone is a reshape.

func.func @main(%x: tensor<1x4x3xf32>) -> (tensor<4x1x3xf32>) {
  %0 = tn.transpose %x {perm = array<i64: 1, 0, 2>} : (tensor<1x4x3xf32>) -> tensor<4x1x3xf32>
  func.return %0 : tensor<4x1x3xf32>
}

// CHECK-NOT: tn.transpose
// CHECK: tn.reshape %x {shape = array<i64: 4, 1, 3>}
