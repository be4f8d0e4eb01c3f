// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// max and min with one number, also once for each channel, are clips; with several they stay.

func.func @main(%x: tensor<1x2x2xf32>) -> (tensor<1x2x2xf32>) {
  %a = tn.constant {value = @a, values = #tn.values<float32 : -1.0, -1.0>} : () -> tensor<2x1xf32>
  %b = tn.constant {value = @b, values = #tn.values<float32 : 1.0>} : () -> tensor<f32>
  %c = tn.constant {value = @c, values = #tn.values<float32 : 0.5, 0.75>} : () -> tensor<2x1xf32>
  %0 = tn.max %x, %a : (tensor<1x2x2xf32>, tensor<2x1xf32>) -> tensor<1x2x2xf32>
  %1 = tn.min %b, %0 : (tensor<f32>, tensor<1x2x2xf32>) -> tensor<1x2x2xf32>
  %2 = tn.min %1, %c : (tensor<1x2x2xf32>, tensor<2x1xf32>) -> tensor<1x2x2xf32>
  func.return %2 : tensor<1x2x2xf32>
}

// CHECK: [[Y:%.+]] = tn.clip %x {hi = 1.000000e+00 : f64, lo = -1.000000e+00 : f64}
// CHECK-NOT: tn.max
// CHECK: tn.min [[Y]], %c
