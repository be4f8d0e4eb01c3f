// RUN: tercet opt %s -p 'thresholds' | filecheck %s
// A shortcut of few values that is added in float selects among rows of thresholds.

func.func @main(%q: tensor<1x1x2x2x!tn.int<-9:9>>, %r: tensor<1x1x2x2x!tn.int<0:1>>) -> (tensor<1x1x2x2x!tn.int<1:2>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1>} : () -> tensor<1x1x1x1x!tn.int<1:1>>
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.conv %q, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x1x2x2x!tn.int<-9:9>>, tensor<1x1x1x1x!tn.int<1:1>>) -> tensor<1x1x2x2x!tn.int<-9:9>>
  %1 = tn.dequantize %0, %s : (tensor<1x1x2x2x!tn.int<-9:9>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %one = tn.constant {value = @one, values = #tn.values<float32 : 1.0>} : () -> tensor<f32>
  %2 = tn.dequantize %r, %one : (tensor<1x1x2x2x!tn.int<0:1>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %3 = tn.add %1, %2 : (tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %4 = tn.quantize %3, %one {hi = 2 : i64, lo = 1 : i64, mode = "ceil"} : (tensor<1x1x2x2xf32>, tensor<f32>) -> tensor<1x1x2x2x!tn.int<1:2>>
  func.return %4 : tensor<1x1x2x2x!tn.int<1:2>>
}

// CHECK: [[Y:%.+]] = tn.conv
// CHECK: [[T:%.+]] = tn.constant {{.*}}<int32 : 3, 1>} : () -> tensor<1x2x1x
// CHECK: tn.select_threshold [[Y]], %r, [[T]]
// CHECK-SAME: first = 0
// CHECK-NOT: tn.quantize
