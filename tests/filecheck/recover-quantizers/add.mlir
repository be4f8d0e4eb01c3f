// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// q * s + p * s is (q + p) * s where float32 gives the same for all pairs; of 0.1 it does not.

func.func @main(%q: tensor<1x4x!tn.int<-1:1>>, %p: tensor<1x4x!tn.int<0:3>>) -> (tensor<1x4xf32>, tensor<1x4xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %tenth = tn.constant {value = @tenth, values = #tn.values<float32 : 0.1>} : () -> tensor<f32>
  %0 = tn.dequantize %q, %s : (tensor<1x4x!tn.int<-1:1>>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.dequantize %p, %s : (tensor<1x4x!tn.int<0:3>>, tensor<f32>) -> tensor<1x4xf32>
  %2 = tn.add %0, %1 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %3 = tn.dequantize %q, %tenth : (tensor<1x4x!tn.int<-1:1>>, tensor<f32>) -> tensor<1x4xf32>
  %4 = tn.dequantize %p, %tenth : (tensor<1x4x!tn.int<0:3>>, tensor<f32>) -> tensor<1x4xf32>
  %5 = tn.sub %3, %4 : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %2, %5 : tensor<1x4xf32>, tensor<1x4xf32>
}

// CHECK: [[Q:%.+]] = tn.add %q, %p
// CHECK: tn.dequantize [[Q]], %s
// CHECK: tn.sub
// CHECK-SAME: (tensor<1x4xf32>, tensor<1x4xf32>)
