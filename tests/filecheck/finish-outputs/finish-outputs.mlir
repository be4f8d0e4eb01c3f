// RUN: tercet opt %s -p 'finish-outputs' | filecheck %s
// An output has the dtype that the model promises, and is computed by an operation of its own.

func.func @main(%x: tensor<1x4x!tn.int<0:3>> {tn.name = "x", tn.dtype = "int64"}) -> (tensor<1x4x!tn.int<0:3>> {tn.name = "y", tn.dtype = "int64"}) {
  func.return %x : tensor<1x4x!tn.int<0:3>>
}

// CHECK: [[Y:%.+]] = tn.cast %x
// CHECK: func.return [[Y]]
