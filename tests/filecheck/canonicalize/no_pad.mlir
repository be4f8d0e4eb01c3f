// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A border of width 0 is nothing.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %0 = tn.pad %x {pads = array<i64: 0, 0, 0, 0>, value = 0.0 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = tn.relu %0 : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %1 : tensor<1x4xf32>
}

// CHECK-NOT: tn.pad
// CHECK: tn.relu %x
