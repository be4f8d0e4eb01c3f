// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// (x > t) - (x < -t), the usual ternary activation, is one threshold.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4x!tn.int<-1:1>>) {
  %t = tn.constant {value = @t, values = #tn.values<float32 : 0.5>} : () -> tensor<1x1xf32>
  %u = tn.constant {value = @u, values = #tn.values<float32 : -0.5>} : () -> tensor<1x1xf32>
  %0 = tn.threshold %x, %t {axis = 1 : i64, base = 0 : i64, step = 1 : i64} : (tensor<1x4xf32>, tensor<1x1xf32>) -> tensor<1x4x!tn.int<0:1>>
  %1 = tn.threshold %x, %u {axis = 1 : i64, base = 1 : i64, step = -1 : i64} : (tensor<1x4xf32>, tensor<1x1xf32>) -> tensor<1x4x!tn.int<0:1>>
  %2 = tn.sub %0, %1 : (tensor<1x4x!tn.int<0:1>>, tensor<1x4x!tn.int<0:1>>) -> tensor<1x4x!tn.int<-1:1>>
  func.return %2 : tensor<1x4x!tn.int<-1:1>>
}

// CHECK: values = #tn.values<float32 : -0.5, 0.5>
// CHECK: tn.threshold %x
// CHECK-SAME: base = -1 : i64, step = 1 : i64
// CHECK-NOT: tn.sub
