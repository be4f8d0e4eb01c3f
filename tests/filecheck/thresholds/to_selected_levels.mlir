// RUN: tercet opt %s -p 'thresholds' | filecheck %s
// A shortcut that is added to quantized sums before a clip selects among rows of thresholds.

func.func @main(%q: tensor<1x1x2x2x!tn.int<-9:9>>, %r: tensor<1x1x2x2x!tn.int<0:1>>) -> (tensor<1x1x2x2x!tn.int<0:1>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1>} : () -> tensor<1x1x1x1x!tn.int<1:1>>
  %0 = tn.conv %q, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x1x2x2x!tn.int<-9:9>>, tensor<1x1x1x1x!tn.int<1:1>>) -> tensor<1x1x2x2x!tn.int<-9:9>>
  %t = tn.constant {value = @t, values = #tn.values<int32 : -3, 3>} : () -> tensor<1x2x!tn.int<-3:3>>
  %1 = tn.threshold %0, %t {axis = 1 : i64, base = -1 : i64, step = 1 : i64} : (tensor<1x1x2x2x!tn.int<-9:9>>, tensor<1x2x!tn.int<-3:3>>) -> tensor<1x1x2x2x!tn.int<-1:1>>
  %2 = tn.add %1, %r : (tensor<1x1x2x2x!tn.int<-1:1>>, tensor<1x1x2x2x!tn.int<0:1>>) -> tensor<1x1x2x2x!tn.int<-1:2>>
  %3 = tn.clip %2 {hi = 1.0 : f64, lo = 0.0 : f64} : (tensor<1x1x2x2x!tn.int<-1:2>>) -> tensor<1x1x2x2x!tn.int<0:1>>
  func.return %3 : tensor<1x1x2x2x!tn.int<0:1>>
}

// CHECK: [[T:%.+]] = tn.constant {{.*}}<int32 : 3, -3>} : () -> tensor<1x2x1x
// CHECK: tn.select_threshold {{%.+}}, %r, [[T]]
// CHECK-NOT: tn.add
