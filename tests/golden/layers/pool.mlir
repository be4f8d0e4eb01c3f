// A 2x2 max pool of few integers.

func.func @main(%x: tensor<1x2x8x8x!tn.int<-1:1>>) -> (tensor<1x2x4x4x!tn.int<-1:1>>) {
  %0 = tn.max_pool %x {dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x2x8x8x!tn.int<-1:1>>) -> tensor<1x2x4x4x!tn.int<-1:1>>
  func.return %0 : tensor<1x2x4x4x!tn.int<-1:1>>
}
