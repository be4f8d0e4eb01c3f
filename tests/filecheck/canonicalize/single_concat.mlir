// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// One tensor after the other, where there is one, is nothing.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %0 = tn.concat %x {axis = 1 : i64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = tn.relu %0 : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %1 : tensor<1x4xf32>
}

// CHECK-NOT: tn.concat
// CHECK: tn.relu %x
