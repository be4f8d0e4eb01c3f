// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// Integer x - c is x + (-c).

func.func @main(%x: tensor<1x4x!tn.int<0:255>>) -> (tensor<1x4x!tn.int<-128:127>>) {
  %c = tn.constant {value = @c, values = #tn.values<int64 : 128>} : () -> tensor<!tn.int<128:128>>
  %0 = tn.sub %x, %c : (tensor<1x4x!tn.int<0:255>>, tensor<!tn.int<128:128>>) -> tensor<1x4x!tn.int<-128:127>>
  func.return %0 : tensor<1x4x!tn.int<-128:127>>
}

// CHECK: values = #tn.values<int64 : -128>
// CHECK: tn.add %x
// CHECK-NOT: tn.sub
