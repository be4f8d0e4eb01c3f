// A ternary matrix product of few integers.

func.func @main(%x: tensor<1x8x!tn.int<-1:1>>) -> (tensor<1x8x!tn.int<-1:1>>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 0, -1, -1, 1, -1, -1, -1, -1, 1, -1, 1, 0, 1, -1, -1, 0, 1, 1, -1, 0, 0, 1, -1, 0, 1, 1, 1, 1, 1, 1, -1, -1, 1, 1, 1, 1, 0, 1, -1, 1, -1, 0, -1, 1, -1, 0, -1, 1, 0, -1, 0, 1, -1, 1, -1, 0, -1, 1, 0, -1, -1, 1, -1, 1>} : () -> tensor<8x8x!tn.int<-1:1>>
  %t = tn.constant {value = @t, values = #tn.values<int32 : -1, 2>} : () -> tensor<1x2x!tn.int<-1:2>>
  %0 = tn.matmul %x, %w : (tensor<1x8x!tn.int<-1:1>>, tensor<8x8x!tn.int<-1:1>>) -> tensor<1x8x!tn.int<-8:8>>
  %1 = tn.threshold %0, %t {axis = 1 : i64, base = -1 : i64, step = 1 : i64} : (tensor<1x8x!tn.int<-8:8>>, tensor<1x2x!tn.int<-1:2>>) -> tensor<1x8x!tn.int<-1:1>>
  func.return %1 : tensor<1x8x!tn.int<-1:1>>
}
