// RUN: tercet opt %s -p 'fold-constants{everything}' | filecheck %s
// At the end a dequantize of a constant is computed, too.

func.func @main(%x: tensor<1x2xf32>) -> (tensor<1x2xf32>) {
  %b = tn.constant {value = @b, values = #tn.values<float32 : 0.5, 0.25>} : () -> tensor<2xf32>
  %q = tn.constant {value = @q, values = #tn.values<int8 : -1, 1>} : () -> tensor<2x!tn.int<-1:1>>
  %0 = tn.dequantize %q, %b : (tensor<2x!tn.int<-1:1>>, tensor<2xf32>) -> tensor<2xf32>
  %1 = tn.add %x, %0 : (tensor<1x2xf32>, tensor<2xf32>) -> tensor<1x2xf32>
  func.return %1 : tensor<1x2xf32>
}

// CHECK: [[C:%.+]] = tn.constant {{.*}}<float32 : -0.5, 0.25>}
// CHECK: tn.add %x, [[C]]
// CHECK-NOT: tn.dequantize
