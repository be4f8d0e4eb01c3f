// RUN: tercet opt %s -p 'thresholds' | filecheck %s
// quantize(relu(q * 0.5)) to 0..2 steps where q is 2 (a tie, which is rounded to 0, at 1) and 3.

func.func @main(%q: tensor<1x1x2x2x!tn.int<-9:9>>) -> (tensor<1x1x2x2x!tn.int<0:2>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1>} : () -> tensor<1x1x1x1x!tn.int<1:1>>
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.conv %q, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x1x2x2x!tn.int<-9:9>>, tensor<1x1x1x1x!tn.int<1:1>>) -> tensor<1x1x2x2x!tn.int<-9:9>>
  %1 = tn.dequantize %0, %s : (tensor<1x1x2x2x!tn.int<-9:9>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %one = tn.constant {value = @one, values = #tn.values<float32 : 1.0>} : () -> tensor<f32>
  %2 = tn.relu %1 : (tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %3 = tn.quantize %2, %one {hi = 2 : i64, lo = 0 : i64, mode = "round"} : (tensor<1x1x2x2xf32>, tensor<f32>) -> tensor<1x1x2x2x!tn.int<0:2>>
  func.return %3 : tensor<1x1x2x2x!tn.int<0:2>>
}

// CHECK: [[Y:%.+]] = tn.conv
// CHECK: [[T:%.+]] = tn.constant {{.*}}<int32 : 2, 3>}
// CHECK: tn.threshold [[Y]], [[T]] {axis = 1 : i64, base = 0 : i64, step = 1 : i64}
// CHECK-NOT: tn.quantize
