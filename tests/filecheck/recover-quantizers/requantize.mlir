// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// quantize(q * s, s) is q within the quantizer's bounds.

func.func @main(%q: tensor<1x4x!tn.int<-8:7>>) -> (tensor<1x4x!tn.int<-1:1>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.dequantize %q, %s : (tensor<1x4x!tn.int<-8:7>>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.quantize %0, %s {hi = 1 : i64, lo = -1 : i64, mode = "round"} : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4x!tn.int<-1:1>>
  func.return %1 : tensor<1x4x!tn.int<-1:1>>
}

// CHECK: tn.clip %q {hi = 1.000000e+00 : f64, lo = -1.000000e+00 : f64}
// CHECK-NOT: tn.quantize
