// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// A clip or relu before a quantizer is a quantizer with tighter bounds; a clip that leaves out 0 stays, for NaN gives 0.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4x!tn.int<-128:127>>, tensor<1x4x!tn.int<-3:3>>, tensor<1x4x!tn.int<-128:127>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.clip %x {hi = 0.6 : f64, lo = -0.5 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = tn.quantize %0, %s {hi = 127 : i64, lo = -128 : i64, mode = "round"} : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4x!tn.int<-128:127>>
  %2 = tn.relu %x : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %3 = tn.quantize %2, %s {hi = 3 : i64, lo = -3 : i64, mode = "round"} : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4x!tn.int<-3:3>>
  %4 = tn.clip %x {hi = 2.0 : f64, lo = 1.0 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %5 = tn.quantize %4, %s {hi = 127 : i64, lo = -128 : i64, mode = "round"} : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4x!tn.int<-128:127>>
  func.return %1, %3, %5 : tensor<1x4x!tn.int<-128:127>>, tensor<1x4x!tn.int<-3:3>>, tensor<1x4x!tn.int<-128:127>>
}

// CHECK: tn.quantize %x, %s {hi = 1 : i64, lo = -1 : i64
// CHECK: tn.quantize %x, %s {hi = 3 : i64, lo = 0 : i64
// CHECK: [[C:%.+]] = tn.clip %x
// CHECK: tn.quantize [[C]], %s {hi = 127
