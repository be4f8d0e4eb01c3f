// RUN: tercet opt %s -p 'thresholds' | filecheck %s
// Bounds of each channel's own become thresholds as any step does: one channel stops at level 1.

func.func @main(%q: tensor<1x1x2x2x!tn.int<-9:9>>) -> (tensor<1x2x2x2x!tn.int<0:2>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1, 1>} : () -> tensor<2x1x1x1x!tn.int<1:1>>
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %most = tn.constant {value = @most, values = #tn.values<float32 : 1.0, 9.0>} : () -> tensor<2x1x1xf32>
  %one = tn.constant {value = @one, values = #tn.values<float32 : 1.0>} : () -> tensor<f32>
  %0 = tn.conv %q, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x1x2x2x!tn.int<-9:9>>, tensor<2x1x1x1x!tn.int<1:1>>) -> tensor<1x2x2x2x!tn.int<-9:9>>
  %1 = tn.dequantize %0, %s : (tensor<1x2x2x2x!tn.int<-9:9>>, tensor<f32>) -> tensor<1x2x2x2xf32>
  %2 = tn.min %1, %most : (tensor<1x2x2x2xf32>, tensor<2x1x1xf32>) -> tensor<1x2x2x2xf32>
  %3 = tn.quantize %2, %one {hi = 2 : i64, lo = 0 : i64, mode = "round"} : (tensor<1x2x2x2xf32>, tensor<f32>) -> tensor<1x2x2x2x!tn.int<0:2>>
  func.return %3 : tensor<1x2x2x2x!tn.int<0:2>>
}

// CHECK: <int32 : 2, 10, 2, 3>} : () -> tensor<2x2x
// CHECK: tn.threshold
// CHECK-NOT: tn.min
