// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// A sum of truth values, as floats, is one of integers, and so one threshold.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %t = tn.constant {value = @t, values = #tn.values<float32 : 0.5>} : () -> tensor<1x1xf32>
  %u = tn.constant {value = @u, values = #tn.values<float32 : -0.5>} : () -> tensor<1x1xf32>
  %one = tn.constant {value = @one, values = #tn.values<float32 : 1.0>} : () -> tensor<f32>
  %0 = tn.threshold %x, %t {axis = 1 : i64, base = 0 : i64, step = 1 : i64} : (tensor<1x4xf32>, tensor<1x1xf32>) -> tensor<1x4x!tn.int<0:1>>
  %1 = tn.threshold %x, %u {axis = 1 : i64, base = 0 : i64, step = 1 : i64} : (tensor<1x4xf32>, tensor<1x1xf32>) -> tensor<1x4x!tn.int<0:1>>
  %2 = tn.dequantize %0, %one : (tensor<1x4x!tn.int<0:1>>, tensor<f32>) -> tensor<1x4xf32>
  %3 = tn.dequantize %1, %one : (tensor<1x4x!tn.int<0:1>>, tensor<f32>) -> tensor<1x4xf32>
  %4 = tn.add %2, %3 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %4 : tensor<1x4xf32>
}

// CHECK: values = #tn.values<float32 : -0.5, 0.5>
// CHECK: [[T:%.+]] = tn.threshold %x
// CHECK-NOT: tn.threshold
// CHECK: tn.dequantize [[T]]
