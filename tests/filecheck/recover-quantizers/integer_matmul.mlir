// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// (q * s) @ (p * t) is (q @ p) * (s * t).

func.func @main(%q: tensor<1x2x!tn.int<0:3>>) -> (tensor<1x2xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1, -1, 0, 1>} : () -> tensor<2x2x!tn.int<-1:1>>
  %t = tn.constant {value = @t, values = #tn.values<float32 : 0.25, 0.5>} : () -> tensor<2xf32>
  %0 = tn.dequantize %q, %s : (tensor<1x2x!tn.int<0:3>>, tensor<f32>) -> tensor<1x2xf32>
  %1 = tn.dequantize %w, %t : (tensor<2x2x!tn.int<-1:1>>, tensor<2xf32>) -> tensor<2x2xf32>
  %2 = tn.matmul %0, %1 : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
  func.return %2 : tensor<1x2xf32>
}

// CHECK: [[Y:%.+]] = tn.matmul %q, %w
// CHECK: [[S:%.+]] = tn.constant {{.*}}<float32 : 0.125, 0.25>}
// CHECK: tn.dequantize [[Y]], [[S]]
