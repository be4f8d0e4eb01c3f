// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A slice of everything is nothing.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %0 = tn.slice %x {sizes = array<i64: 1, 4>, starts = array<i64: 0, 0>, steps = array<i64: 1, 1>} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = tn.relu %0 : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %1 : tensor<1x4xf32>
}

// CHECK-NOT: tn.slice
// CHECK: tn.relu %x
