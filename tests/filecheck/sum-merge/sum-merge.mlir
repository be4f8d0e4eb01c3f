// RUN: tercet opt %s -p 'sum-merge' --target generic | filecheck %s
// A ternary convolution names the graph of its shared sums.

func.func @main(%x: tensor<1x2x2x2x!tn.int<0:3>>) -> (tensor<1x2x2x2x!tn.int<-3:6>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1, -1, 1, 1>} : () -> tensor<2x2x1x1x!tn.int<-1:1>>
  %0 = tn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x2x2x2x!tn.int<0:3>>, tensor<2x2x1x1x!tn.int<-1:1>>) -> tensor<1x2x2x2x!tn.int<-3:6>>
  func.return %0 : tensor<1x2x2x2x!tn.int<-3:6>>
}

// CHECK: tn.conv
// CHECK-SAME: sums = @w.sums
