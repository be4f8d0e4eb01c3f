// A 3x3 layer of 8-bit weights on 8-bit inputs, scaled.

func.func @main(%x: tensor<1x3x8x8x!tn.int<0:255>>) -> (tensor<1x2x8x8xf32>) {
  %w = tn.constant {value = @w, values = #tn.values<int8 : 85, 106, 44, -79, -50, -55, 23, 122, 98, 0, 89, 113, 2, -27, 23, 91, -119, -5, -65, 63, 77, -24, -21, 43, -83, -34, 13, 98, 52, 71, 45, 61, -32, -105, -15, 42, 3, -100, 72, -86, 6, 88, -27, -33, -2, 60, -120, -7, -116, -49, 53, 90, 124, 30>} : () -> tensor<2x3x3x3x!tn.int<-127:127>>
  %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5, 0.25>} : () -> tensor<2x1x1xf32>
  %0 = tn.conv %x, %w {dilations = array<i64: 1, 1>, group = 1 : i64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8x!tn.int<0:255>>, tensor<2x3x3x3x!tn.int<-127:127>>) -> tensor<1x2x8x8x!tn.int<-874395:874395>>
  %1 = tn.dequantize %0, %s : (tensor<1x2x8x8x!tn.int<-874395:874395>>, tensor<2x1x1xf32>) -> tensor<1x2x8x8xf32>
  func.return %1 : tensor<1x2x8x8xf32>
}
