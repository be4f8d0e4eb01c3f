// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// The zero point of a quantizer that is written in floats is subtracted from its integers.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %z = tn.constant {value = @z, values = #tn.values<float32 : 3.0>} : () -> tensor<f32>
  %0 = tn.div %x, %s : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.add %0, %z : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %2 = tn.round %1 {mode = "round"} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %3 = tn.clip %2 {hi = 15.0 : f64, lo = 0.0 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %4 = tn.sub %3, %z : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %5 = tn.mul %4, %s : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  func.return %5 : tensor<1x4xf32>
}

// CHECK: [[Q:%.+]] = tn.quantize {{.*}} {hi = 15 : i64, lo = 0 : i64, mode = "round"}
// CHECK: [[D:%.+]] = tn.sub [[Q]], {{.*}} -> tensor<1x4x!tn.int<-3:12>>
// CHECK: tn.dequantize [[D]], %s
// CHECK-NOT: tn.mul
