// A ternary matrix product of floats.

func.func @main(%x: tensor<1x8xf32>) -> (tensor<1x8xf32>) {
  %w = tn.constant {value = @w, values = #tn.values<float32 : 0.5, -0.5, 0.5, 0.0, 0.0, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.0, 0.5, -0.5, 0.5, 0.0, -0.5, -0.5, -0.5, -0.5, 0.0, -0.5, 0.5, 0.0, -0.5, -0.5, -0.5, 0.5, 0.0, 0.5, -0.5, 0.0, -0.5, 0.5, -0.5, 0.0, 0.5, -0.5, 0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.5, -0.5, 0.0, 0.0, 0.5, -0.5, 0.0, 0.5, 0.5, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5>} : () -> tensor<8x8xf32>
  %0 = tn.matmul %x, %w : (tensor<1x8xf32>, tensor<8x8xf32>) -> tensor<1x8xf32>
  %1 = tn.relu %0 : (tensor<1x8xf32>) -> tensor<1x8xf32>
  func.return %1 : tensor<1x8xf32>
}
