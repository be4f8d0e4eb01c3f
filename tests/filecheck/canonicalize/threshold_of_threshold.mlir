// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A threshold on the levels of another one is one threshold.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4x!tn.set<-1,1>>) {
  %inner = tn.constant {value = @inner, values = #tn.values<float32 : -0.5, 0.5>} : () -> tensor<1x2xf32>
  %outer = tn.constant {value = @outer, values = #tn.values<int64 : 1>} : () -> tensor<1x1x!tn.int<1:1>>
  %0 = tn.threshold %x, %inner {axis = 1 : i64, base = -1 : i64, step = 1 : i64} : (tensor<1x4xf32>, tensor<1x2xf32>) -> tensor<1x4x!tn.int<-1:1>>
  %1 = tn.threshold %0, %outer {axis = 1 : i64, base = -1 : i64, step = 2 : i64} : (tensor<1x4x!tn.int<-1:1>>, tensor<1x1x!tn.int<1:1>>) -> tensor<1x4x!tn.set<-1, 1>>
  func.return %1 : tensor<1x4x!tn.set<-1,1>>
}

// CHECK: values = #tn.values<float32 : 0.5>
// CHECK: tn.threshold %x
// CHECK-SAME: base = -1 : i64, step = 2 : i64
// CHECK-NOT: tn.threshold
