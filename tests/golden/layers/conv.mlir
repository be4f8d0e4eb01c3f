// A ternary 3x3 layer with ternary activations, behind thresholds.

func.func @main(%x: tensor<1x3x8x8x!tn.int<-1:1>>) -> (tensor<1x2x8x8x!tn.int<-1:1>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 0, -1, -1, 1, -1, 1, 1, 1, 1, 0, -1, 1, -1, 1, 1, -1, -1, 1, 1, 0, -1, -1, 1, -1, -1, -1, -1, -1, 1, 0, 1, -1, -1, 0, 1, 1, -1, 0, 1, 0, 0, 1, 1, -1, 1, -1, -1, 0, 1, -1, 1, -1, 1, -1>} : () -> tensor<2x3x3x3x!tn.int<-1:1>>
  %t = tn.constant {value = @t, values = #tn.values<int32 : -2, 3, -3, 4>} : () -> tensor<2x2x!tn.int<-3:4>>
  %0 = tn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8x!tn.int<-1:1>>, tensor<2x3x3x3x!tn.int<-1:1>>) -> tensor<1x2x8x8x!tn.int<-27:27>>
  %1 = tn.threshold %0, %t {axis = 1 : i64, base = -1 : i64, step = 1 : i64} : (tensor<1x2x8x8x!tn.int<-27:27>>, tensor<2x2x!tn.int<-3:4>>) -> tensor<1x2x8x8x!tn.int<-1:1>>
  func.return %1 : tensor<1x2x8x8x!tn.int<-1:1>>
}
