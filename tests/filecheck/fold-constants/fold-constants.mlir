// RUN: tercet opt %s -p 'fold-constants' | filecheck %s
// Operations on constants are computed once; a dequantize says which integers and which scale, and stays.

func.func @main(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>) {
  %a = tn.constant {value = @a, values = #tn.values<float32 : 1.0, 2.0>} : () -> tensor<2xf32>
  %b = tn.constant {value = @b, values = #tn.values<float32 : 0.5, 0.25>} : () -> tensor<2xf32>
  %q = tn.constant {value = @q, values = #tn.values<int8 : -1, 1>} : () -> tensor<2x!tn.int<-1:1>>
  %0 = tn.add %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %1 = tn.add %x, %0 : (tensor<1x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  %2 = tn.dequantize %q, %b : (tensor<2x!tn.int<-1:1>>, tensor<2xf32>) -> tensor<2xf32>
  %3 = tn.add %1, %2 : (tensor<1x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %3 : tensor<1x2xf32>
}

// CHECK: [[C:%.+]] = tn.constant {{.*}}<float32 : 1.5, 2.25>}
// CHECK: tn.add %x, [[C]]
// CHECK: tn.dequantize
