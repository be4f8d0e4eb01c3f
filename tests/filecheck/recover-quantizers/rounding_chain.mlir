// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// clip(round(x / s)) with whole bounds is a quantizer whose integers are floats.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.div %x, %s : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.round %0 {mode = "round"} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %2 = tn.clip %1 {hi = 1.0 : f64, lo = -1.0 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %2 : tensor<1x4xf32>
}

// CHECK: [[Q:%.+]] = tn.quantize %x, %s {hi = 1 : i64, lo = -1 : i64, mode = "round"}
// CHECK: tn.dequantize [[Q]]
// CHECK-NOT: tn.round
