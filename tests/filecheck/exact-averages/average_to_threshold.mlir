// RUN: tercet opt %s -p 'exact-averages' | filecheck %s
// average(q * 0.5) >= 0.7 is sum(q) >= 0.7 * 4 / 0.5, rounded up.

func.func @main(%q: tensor<1x1x2x2x!tn.int<0:3>>) -> (tensor<1x1x1x1x!tn.int<0:1>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %t = tn.constant {value = @t, values = #tn.values<float32 : 0.7>} : () -> tensor<1x1xf32>
  %0 = tn.dequantize %q, %s : (tensor<1x1x2x2x!tn.int<0:3>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %1 = tn.avg_pool %0 {counted = array<i64: 0, 0, 0, 0>, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x1x1xf32>
  %2 = tn.threshold %1, %t {axis = 1 : i64, base = 0 : i64, step = 1 : i64} : (tensor<1x1x1x1xf32>, tensor<1x1xf32>) -> tensor<1x1x1x1x!tn.int<0:1>>
  func.return %2 : tensor<1x1x1x1x!tn.int<0:1>>
}

// CHECK: [[Y:%.+]] = tn.sum_pool %q
// CHECK: [[T:%.+]] = tn.constant {{.*}}<int64 : 6>}
// CHECK: tn.threshold [[Y]], [[T]]
