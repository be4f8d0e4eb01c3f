// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// A quantizer behind a reshape goes before it, and so before the pooling in front of that.

func.func @main(%x: tensor<1x1x2x2xf32>) -> (tensor<1x1x!tn.int<-1:1>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.max_pool %x {dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x1x1xf32>
  %1 = tn.reshape %0 {shape = array<i64: 1, 1>} : (tensor<1x1x1x1xf32>) -> tensor<1x1xf32>
  %2 = tn.mul %1, %s : (tensor<1x1xf32>, tensor<f32>) -> tensor<1x1xf32>
  %3 = tn.quantize %2, %s {hi = 1 : i64, lo = -1 : i64, mode = "round"} : (tensor<1x1xf32>, tensor<f32>) -> tensor<1x1x!tn.int<-1:1>>
  func.return %3 : tensor<1x1x!tn.int<-1:1>>
}

// CHECK: [[M:%.+]] = tn.mul %x
// CHECK: [[Q:%.+]] = tn.quantize [[M]]
// CHECK: [[P:%.+]] = tn.max_pool [[Q]]
// CHECK: tn.reshape [[P]]
