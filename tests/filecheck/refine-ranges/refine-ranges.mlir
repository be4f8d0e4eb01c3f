// RUN: tercet opt %s -p 'refine-ranges' | filecheck %s
// A product's range is that of its actual weights.

func.func @main(%x: tensor<1x2x!tn.int<-1:1>>) -> (tensor<1x2x!tn.int<-2:2>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1, 0, 0, 1>} : () -> tensor<2x2x!tn.int<0:1>>
  %0 = tn.matmul %x, %w : (tensor<1x2x!tn.int<-1:1>>, tensor<2x2x!tn.int<0:1>>) -> tensor<1x2x!tn.int<-2:2>>
  func.return %0 : tensor<1x2x!tn.int<-2:2>>
}

// CHECK: tn.matmul
// CHECK-SAME: -> tensor<1x2x!tn.int<-1:1>>
