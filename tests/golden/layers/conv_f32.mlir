// A ternary 3x3 layer on floats.

func.func @main(%x: tensor<1x3x8x8xf32>) -> (tensor<1x2x8x8xf32>) {
  %w = tn.constant {value = @w, values = #tn.values<float32 : 0.0, -0.5, -0.5, -0.5, 0.0, 0.0, 0.0, -0.5, 0.0, 0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, 0.0, -0.5, 0.5, 0.0, -0.5, -0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.0, 0.0, 0.5, -0.5, -0.5, -0.5, 0.5, -0.5, -0.5, -0.5, 0.0, -0.5, -0.5, 0.5, 0.5, 0.5, -0.5, -0.5, -0.5, 0.5, 0.5, -0.5, -0.5>} : () -> tensor<2x3x3x3xf32>
  %0 = tn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x8x8xf32>
  func.return %0 : tensor<1x2x8x8xf32>
}
