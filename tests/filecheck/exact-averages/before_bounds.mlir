// RUN: tercet opt %s -p 'exact-averages' | filecheck %s
// quantize(relu(average)) is quantize(average) from 0 on.

func.func @main(%q: tensor<1x1x2x2x!tn.int<-3:3>>) -> (tensor<1x1x1x1x!tn.int<-3:3>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.dequantize %q, %s : (tensor<1x1x2x2x!tn.int<-3:3>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %1 = tn.avg_pool %0 {counted = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x1x1xf32>
  %2 = tn.relu %1 : (tensor<1x1x1x1xf32>) -> tensor<1x1x1x1xf32>
  %3 = tn.quantize %2, %s {hi = 3 : i64, lo = -3 : i64, mode = "round"} : (tensor<1x1x1x1xf32>, tensor<f32>) -> tensor<1x1x1x1x!tn.int<-3:3>>
  func.return %3 : tensor<1x1x1x1x!tn.int<-3:3>>
}

// CHECK: tn.sum_pool %q
// CHECK-NOT: tn.relu
// CHECK: tn.requantize
// CHECK-SAME: hi = 3 : i64, lo = 0 : i64
