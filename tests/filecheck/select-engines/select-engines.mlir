// RUN: tercet opt %s -p 'select-engines' --target generic --engine loops | filecheck %s
// What follows an operation joins its kernel, and its constants with it.

func.func @main(%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) {
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5>} : () -> tensor<f32>
  %0 = tn.mul %x, %s : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %1 = tn.relu %0 : (tensor<1x4xf32>) -> tensor<1x4xf32>
  func.return %1 : tensor<1x4xf32>
}

// CHECK: "kn.kernel"(%x)
// CHECK-SAME: engine = "loops"
// CHECK: tn.constant
// CHECK: tn.mul
// CHECK: [[Y:%.+]] = tn.relu
// CHECK: kn.yield [[Y]]
// CHECK-NOT: "kn.kernel"
