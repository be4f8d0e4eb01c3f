// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// A clip behind a dequantize is one of its integers where the bounds are levels; so they reach the quantizer.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.quantize %x, %s {hi = 127 : i64, lo = -128 : i64, mode = "round"} : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4x!tn.int<-128:127>>
  %1 = tn.dequantize %0, %s : (tensor<1x4x!tn.int<-128:127>>, tensor<f32>) -> tensor<1x4xf32>
  %2 = tn.clip %1 {hi = 0.5 : f64, lo = -0.5 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %2 : tensor<1x4xf32>
}

// CHECK: [[Q:%.+]] = tn.quantize %x, %s {hi = 1 : i64, lo = -1 : i64
// CHECK: tn.dequantize [[Q]]
// CHECK-NOT: tn.clip
