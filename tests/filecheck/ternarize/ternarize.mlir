// RUN: tercet opt %s -p 'ternarize{ends}' | filecheck %s
// Weights become -1, 0 or 1 times a scale for each output.

func.func @main(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>) {
  %w = tn.constant {value = @w, values = #tn.values<float32 : 0.9, 0.1, -1.1, 0.1>} : () -> tensor<2x2xf32>
  %0 = tn.matmul %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  func.return %0 : tensor<1x2xf32>
}

// CHECK: tn.constant {{.*}}<float32 : 1.0, 0.1, -1.0, 0.1>}
