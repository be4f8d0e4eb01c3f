// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// Integers cast to a wider range keep their values.

func.func @main(%x: tensor<1x4x!tn.int<0:3>>) -> (tensor<1x4x!tn.int<0:130>>) {
  %0 = tn.cast %x : (tensor<1x4x!tn.int<0:3>>) -> tensor<1x4x!tn.int<-128:127>>
  %1 = tn.relu %0 : (tensor<1x4x!tn.int<-128:127>>) -> tensor<1x4x!tn.int<0:127>>
  %2 = tn.add %1, %x : (tensor<1x4x!tn.int<0:127>>, tensor<1x4x!tn.int<0:3>>) -> tensor<1x4x!tn.int<0:130>>
  func.return %2 : tensor<1x4x!tn.int<0:130>>
}

// CHECK-NOT: tn.cast
// CHECK: tn.add %x, %x
// CHECK-SAME: -> tensor<1x4x!tn.int<0:6>>
