// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// conv(q * s, p * t) is conv(q, p) * (s * t); the bias is added afterwards.

func.func @main(%q: tensor<1x1x2x2x!tn.int<0:3>>) -> (tensor<1x2x2x2xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1, -1>} : () -> tensor<2x1x1x1x!tn.set<-1,1>>
  %t = tn.constant {value = @t, values = #tn.values<float32 : 0.25, 0.5>} : () -> tensor<2x1x1x1xf32>
  %b = tn.constant {value = @b, values = #tn.values<float32 : 1.0, 2.0>} : () -> tensor<2xf32>
  %0 = tn.dequantize %q, %s : (tensor<1x1x2x2x!tn.int<0:3>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %1 = tn.dequantize %w, %t : (tensor<2x1x1x1x!tn.set<-1,1>>, tensor<2x1x1x1xf32>) -> tensor<2x1x1x1xf32>
  %2 = tn.conv %0, %1, %b {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x1x2x2xf32>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<1x2x2x2xf32>
  func.return %2 : tensor<1x2x2x2xf32>
}

// CHECK: [[Y:%.+]] = tn.conv %q, %w
// CHECK: [[S:%.+]] = tn.constant {{.*}}<float32 : 0.125, 0.25>} : () -> tensor<2x1x1xf32>
// CHECK: [[D:%.+]] = tn.dequantize [[Y]], [[S]]
// CHECK: tn.add [[D]]
