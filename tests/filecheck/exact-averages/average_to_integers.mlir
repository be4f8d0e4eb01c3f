// RUN: tercet opt %s -p 'exact-averages' | filecheck %s
// An average between quantizers is a sum of integers and one exact rounding: 0.5 / (4 * 0.25) = 1 / 2.

func.func @main(%q: tensor<1x1x2x2x!tn.int<0:3>>) -> (tensor<1x1x1x1x!tn.int<0:3>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %t = tn.constant {value = @t, values = #tn.values<float32 : 0.25>} : () -> tensor<f32>
  %0 = tn.dequantize %q, %s : (tensor<1x1x2x2x!tn.int<0:3>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %1 = tn.avg_pool %0 {counted = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x1x1xf32>
  %2 = tn.quantize %1, %t {hi = 3 : i64, lo = 0 : i64, mode = "round"} : (tensor<1x1x1x1xf32>, tensor<f32>) -> tensor<1x1x1x1x!tn.int<0:3>>
  func.return %2 : tensor<1x1x1x1x!tn.int<0:3>>
}

// CHECK: [[M:%.+]] = tn.constant {{.*}}<int64 : 2>}
// CHECK: [[D:%.+]] = tn.constant {{.*}}<int64 : 4>}
// CHECK: [[Y:%.+]] = tn.sum_pool %q
// CHECK: tn.requantize [[Y]], [[M]], [[D]]
// CHECK-NOT: tn.avg_pool
