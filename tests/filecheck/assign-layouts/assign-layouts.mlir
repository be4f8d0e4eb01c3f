// RUN: tercet opt %s -p 'finish-outputs,select-engines,assign-layouts' --target x86-64-v3 --engine table | filecheck %s
// An engine that reads planes gets them: the input is converted.

func.func @main(%x: tensor<1x1x4x4x!tn.int<0:3>>) -> (tensor<1x1x4x4x!tn.int<-27:27>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 1, 0, -1, 1, 0, -1, 1, 0, -1>} : () -> tensor<1x1x3x3x!tn.int<-1:1>>
  %0 = tn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x1x4x4x!tn.int<0:3>>, tensor<1x1x3x3x!tn.int<-1:1>>) -> tensor<1x1x4x4x!tn.int<-27:27>>
  func.return %0 : tensor<1x1x4x4x!tn.int<-27:27>>
}

// CHECK: kn.convert
// CHECK-SAME: #kn.planes<top = 1, left = 1
