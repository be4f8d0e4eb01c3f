// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// Bounds within bounds are one clip: Relu and Clip(-1, 6), or Clip(-1, 6) and Relu.

func.func @main(%x: tensor<1x4xf32>, %z: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %0 = tn.relu %x : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %1 = tn.clip %0 {hi = 6.0 : f64, lo = -1.0 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %2 = tn.clip %z {hi = 6.0 : f64, lo = -1.0 : f64} : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %3 = tn.relu %2 : (tensor<1x4xf32>) -> tensor<1x4xf32>
  %4 = tn.add %1, %3 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %4 : tensor<1x4xf32>
}

// CHECK: tn.clip %x {hi = 6.000000e+00 : f64, lo = 0.000000e+00 : f64}
// CHECK: tn.clip %z {hi = 6.000000e+00 : f64, lo = 0.000000e+00 : f64}
// CHECK-NOT: tn.relu
