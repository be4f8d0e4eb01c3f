// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// quantize(max_pool(x)) is max_pool(quantize(x)).

func.func @main(%x: tensor<1x1x2x2xf32>) -> (tensor<1x1x1x1x!tn.int<-1:1>>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.max_pool %x {dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x1x1xf32>
  %1 = tn.quantize %0, %s {hi = 1 : i64, lo = -1 : i64, mode = "round"} : (tensor<1x1x1x1xf32>, tensor<f32>) -> tensor<1x1x1x1x!tn.int<-1:1>>
  func.return %1 : tensor<1x1x1x1x!tn.int<-1:1>>
}

// CHECK: [[Q:%.+]] = tn.quantize %x
// CHECK: tn.max_pool [[Q]]
