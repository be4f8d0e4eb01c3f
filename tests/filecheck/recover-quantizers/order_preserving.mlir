// RUN: tercet opt %s -p 'recover-quantizers' | filecheck %s
// max pool and relu of q * s, s > 0, are those of q, times s.

func.func @main(%q: tensor<1x1x2x2x!tn.int<-1:1>>) -> (tensor<1x1x1x1xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.dequantize %q, %s : (tensor<1x1x2x2x!tn.int<-1:1>>, tensor<f32>) -> tensor<1x1x2x2xf32>
  %1 = tn.max_pool %0 {dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, pads = array<i64: 0, 0, 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x1x1x1xf32>
  %2 = tn.relu %1 : (tensor<1x1x1x1xf32>) -> tensor<1x1x1x1xf32>
  func.return %2 : tensor<1x1x1x1xf32>
}

// CHECK: [[P:%.+]] = tn.max_pool %q
// CHECK: [[R:%.+]] = tn.relu [[P]]
// CHECK: tn.dequantize [[R]]
