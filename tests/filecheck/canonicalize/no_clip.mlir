// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A clip whose bounds lie outside of the integers' range is nothing.

func.func @main(%x: tensor<1x4x!tn.int<0:3>>, %z: tensor<1x4x!tn.int<-1:3>>) -> (tensor<1x4x!tn.int<-1:5>>) {
  %0 = tn.clip %x {hi = 3.0 : f64, lo = -1.0 : f64} : (tensor<1x4x!tn.int<0:3>>) -> tensor<1x4x!tn.int<0:3>>
  %1 = tn.clip %z {hi = 2.0 : f64, lo = -1.0 : f64} : (tensor<1x4x!tn.int<-1:3>>) -> tensor<1x4x!tn.int<-1:2>>
  %2 = tn.add %0, %1 : (tensor<1x4x!tn.int<0:3>>, tensor<1x4x!tn.int<-1:2>>) -> tensor<1x4x!tn.int<-1:5>>
  func.return %2 : tensor<1x4x!tn.int<-1:5>>
}

// CHECK: [[Z:%.+]] = tn.clip %z
// CHECK-NOT: tn.clip
// CHECK: tn.add %x, [[Z]]
