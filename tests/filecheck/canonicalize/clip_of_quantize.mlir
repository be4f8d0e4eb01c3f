// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A clip of a quantizer is a quantizer with tighter bounds (QCDQ).

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4x!tn.int<-1:1>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.25>} : () -> tensor<f32>
  %0 = tn.quantize %x, %s {hi = 127 : i64, lo = -128 : i64, mode = "round"} : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4x!tn.int<-128:127>>
  %1 = tn.clip %0 {hi = 1.0 : f64, lo = -1.0 : f64} : (tensor<1x4x!tn.int<-128:127>>) -> tensor<1x4x!tn.int<-1:1>>
  func.return %1 : tensor<1x4x!tn.int<-1:1>>
}

// CHECK: tn.quantize %x, %s {hi = 1 : i64, lo = -1 : i64, mode = "round"}
// CHECK-NOT: tn.clip
