// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// relu of integers that are never negative is nothing; of others it stays.

func.func @main(%x: tensor<1x4x!tn.int<0:3>>, %z: tensor<1x4x!tn.int<-1:3>>) -> (tensor<1x4x!tn.int<0:6>>) {
  %0 = tn.relu %x : (tensor<1x4x!tn.int<0:3>>) -> tensor<1x4x!tn.int<0:3>>
  %1 = tn.relu %z : (tensor<1x4x!tn.int<-1:3>>) -> tensor<1x4x!tn.int<0:3>>
  %2 = tn.add %0, %1 : (tensor<1x4x!tn.int<0:3>>, tensor<1x4x!tn.int<0:3>>) -> tensor<1x4x!tn.int<0:6>>
  func.return %2 : tensor<1x4x!tn.int<0:6>>
}

// CHECK: [[Z:%.+]] = tn.relu %z
// CHECK-NOT: tn.relu
// CHECK: tn.add %x, [[Z]]
