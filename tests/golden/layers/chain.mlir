// Elementwise floats: scale, activation, quantizer.

func.func @main(%x: tensor<1x4x8xf32>) -> (tensor<1x4x8x!tn.int<0:15>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %k = tn.constant {value = @k, values = #tn.values<float32 : 1.0, 2.0, 0.25, 3.0>} : () -> tensor<4x1xf32>
  %0 = tn.mul %x, %k : (tensor<1x4x8xf32>, tensor<4x1xf32>) -> tensor<1x4x8xf32>
  %1 = tn.relu %0 : (tensor<1x4x8xf32>) -> tensor<1x4x8xf32>
  %2 = tn.quantize %1, %s {hi = 15 : i64, lo = 0 : i64, mode = "round"} : (tensor<1x4x8xf32>, tensor<f32>) -> tensor<1x4x8x!tn.int<0:15>>
  func.return %2 : tensor<1x4x8x!tn.int<0:15>>
}
