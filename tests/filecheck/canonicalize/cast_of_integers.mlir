// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// Integers that became floats with scale 1 and are cast back are the integers.

func.func @main(%x: tensor<1x4x!tn.int<0:3>>) -> (tensor<1x4x!tn.int<-128:130>>) {
  %one = tn.constant {value = @one, values = #tn.values<float32 : 1.0>} : () -> tensor<f32>
  %0 = tn.dequantize %x, %one : (tensor<1x4x!tn.int<0:3>>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.cast %0 : (tensor<1x4xf32>) -> tensor<1x4x!tn.int<-128:127>>
  %2 = tn.add %1, %x : (tensor<1x4x!tn.int<-128:127>>, tensor<1x4x!tn.int<0:3>>) -> tensor<1x4x!tn.int<-128:130>>
  func.return %2 : tensor<1x4x!tn.int<-128:130>>
}

// CHECK-NOT: tn.cast
// CHECK: tn.add %x, %x
