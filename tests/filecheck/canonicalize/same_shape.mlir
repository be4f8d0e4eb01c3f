// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A reshape to the shape that is there already is nothing.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %0 = tn.reshape %x {shape = array<i64: 1, 4>} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = tn.relu %0 : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %1 : tensor<1x4xf32>
}

// CHECK-NOT: tn.reshape
// CHECK: tn.relu %x
