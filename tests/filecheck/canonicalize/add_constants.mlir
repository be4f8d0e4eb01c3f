// RUN: tercet opt %s -p 'canonicalize' | filecheck %s
// Integer (x + c) + d is x + (c + d).

func.func @main(%x: tensor<1x4x!tn.int<0:255>>) -> (tensor<1x4x!tn.int<-28:227>>) {
  %c = tn.constant {value = @c, values = #tn.values<int64 : -128>} : () -> tensor<!tn.int<-128:-128>>
  %d = tn.constant {value = @d, values = #tn.values<int64 : 100>} : () -> tensor<!tn.int<100:100>>
  %0 = tn.add %x, %c : (tensor<1x4x!tn.int<0:255>>, tensor<!tn.int<-128:-128>>) -> tensor<1x4x!tn.int<-128:127>>
  %1 = tn.add %0, %d : (tensor<1x4x!tn.int<-128:127>>, tensor<!tn.int<100:100>>) -> tensor<1x4x!tn.int<-28:227>>
  func.return %1 : tensor<1x4x!tn.int<-28:227>>
}

// CHECK: values = #tn.values<int64 : -28>
// CHECK: tn.add %x
// CHECK-NOT: tn.add
