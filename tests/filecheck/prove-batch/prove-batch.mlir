// RUN: tercet opt %s -p 'prove-batch' | filecheck %s
// What keeps samples apart runs on any number of them.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %0 = tn.relu %x : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %0 : tensor<1x4xf32>
}

// CHECK: tn.batched = 1 : i64
