"""ResNet-18 with random weights as ONNX, in the forms that the benchmarks compare.

Forms:
  ternary  ternary weights and activations except in the first and last layer, QONNX:
           conv -> batch norm -> [+ shortcut] -> ternary quantizer. `shortcut` quantized adds the ternary input of the
           block, or its ternary projection, so that no float tensor is needed between layers; float adds the float
           sums before the quantizers. `weights` may be ternary, binary or signed-binary.
  ttq      ternary weights with two scales a layer {-Wn, 0, +Wp}, float32 activations, ReLU
  twn      the same with one scale a layer
  float32  the plain network
  int8     the plain network as QDQ: batch norms folded, weights with a scale for each filter

`ends` int8 makes the first and last layer of `ternary` int8 instead of float32. The batch norms are set from expected
means and variances, so that activations keep a size that quantizers can use.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import onnx

from .net import Net, Value
from .weights import int8_per_filter, integer_weights, two_scales

STAGES = 4
FORMS = ("ternary", "ttq", "twn", "float32", "int8")
THIRD = 0.43
"""A third of a normal distribution lies within this many standard deviations of its mean."""


class ResNet(Net, ABC):
    """Builds one form of the network; subclasses say what its parts are made of."""

    def build(self, size: int, classes: int, width: int) -> onnx.ModelProto:
        x = self.stem(Value(self.g.input("x", (1, 3, size, size)), 3, 0.0, 1.0), width)
        for stage in range(STAGES):
            channels = width << stage
            x = self.block(x, f"layer{stage + 1}_0", channels, 2 if stage else 1)
            x = self.block(x, f"layer{stage + 1}_1", channels, 1)
        return self.g.model(self.head(x, classes), (1, classes))

    @abstractmethod
    def stem(self, x: Value, width: int) -> Value: ...

    @abstractmethod
    def block(self, x: Value, name: str, channels: int, stride: int) -> Value: ...

    def head(self, x: Value, classes: int) -> str:
        w, b = self.normal((classes, x.channels)), self.rng.normal(size=classes).astype(np.float32)
        pooled = self.g.node("GlobalAveragePool", [x.name], "pool")
        flat = self.g.node("Flatten", [pooled], "flatten")
        operands = [flat, self.g.constant("fc_weight", w), self.g.constant("fc_bias", b)]
        return self.g.node("Gemm", operands, "fc", transB=1)

    def max_pool(self, x: Value) -> Value:
        y = self.g.node("MaxPool", [x.name], "stem_pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        # the largest of nine normal values: about 1.5 standard deviations, plus or minus 0.6
        size = math.sqrt(x.square - x.mean**2)
        return Value(y, x.channels, x.mean + 1.5 * size, (x.mean + 1.5 * size) ** 2 + (0.6 * size) ** 2)


class FloatNet(ResNet):
    """float32 activations; weights: float32, or ternary with one scale (twn) or two (ttq)."""

    def __init__(self, form: str, seed: int) -> None:
        super().__init__(f"resnet18_{form}", seed)
        self.form = form

    def weights(self, shape: tuple[int, ...]) -> np.ndarray:
        if self.form == "float32":
            return self.normal(shape)
        q = integer_weights("ternary", shape, self.rng)
        scale = float(self.rng.uniform(0.8, 1.2)) / math.sqrt(math.prod(shape[1:]))
        return two_scales(q, scale, scale if self.form == "twn" else 1.15 * scale)

    def stem(self, x: Value, width: int) -> Value:
        return self.max_pool(self.relu(self.conv_norm(x, "stem", self.normal((width, 3, 7, 7)), 2), "stem_relu"))

    def block(self, x: Value, name: str, channels: int, stride: int) -> Value:
        y = self.conv_norm(x, f"{name}_a", self.weights((channels, x.channels, 3, 3)), stride)
        y = self.relu(y, f"{name}_a_relu")
        y = self.conv_norm(y, f"{name}_b", self.weights((channels, channels, 3, 3)))
        if stride != 1 or x.channels != channels:
            x = self.conv_norm(x, f"{name}_down", self.weights((channels, x.channels, 1, 1)), stride)
        return self.relu(self.add(y, x, f"{name}_add"), f"{name}_relu")


class TernaryNet(ResNet):
    """Ternary weights and activations; the first and last layer in float32 or int8."""

    def __init__(self, shortcut: str, weights: str, ends: str, seed: int, *, standard: bool = False) -> None:
        super().__init__(f"resnet18_{weights.replace('-', '_')}_{shortcut}_shortcut", seed, standard=standard)
        self.shortcut, self.weights, self.ends = shortcut, weights, ends

    def ternary(self, x: Value, name: str) -> Value:
        """-1, 0 or 1, each for about a third of the elements; quantized shortcuts keep the scale 1."""
        size = math.sqrt(x.square - x.mean**2)
        scale = 1.0 if self.shortcut == "quantized" else float(np.float32(2 * THIRD * size))
        y = self.g.quant(x.name, name, bits=2, scale=scale)
        return Value(y, x.channels, 0.0, scale**2 * 2 / 3)

    def conv(self, x: Value, name: str, channels: int, kernel: int, stride: int) -> Value:
        w = integer_weights(self.weights, (channels, x.channels, kernel, kernel), self.rng).astype(np.float32)
        w *= np.float32(1 / math.sqrt(math.prod(w.shape[1:])))
        size = 0.5 / THIRD if self.shortcut == "quantized" else 1.0
        return self.conv_norm(x, name, w, stride, size=size)

    def stem(self, x: Value, width: int) -> Value:
        w, weight = self.normal((width, 3, 7, 7)), ""
        if self.ends == "int8":
            x = Value(self.g.quant(x.name, "x_int8", bits=8, scale=4 / 127), 3, x.mean, x.square)
            weight = self.g.quantized_constant("stem_weight", *int8_per_filter(w))
        size = 0.5 / THIRD if self.shortcut == "quantized" else 1.0
        x = self.max_pool(self.conv_norm(x, "stem", w, 2, size=size, weight=weight))
        # half of the maxima lie above 1.5 standard deviations: centre them, as training would
        shift = self.g.constant("stem_shift", np.full((1, width, 1, 1), -x.mean, np.float32))
        x = Value(self.g.node("Add", [x.name, shift], "stem_centre"), width, 0.0, x.square - x.mean**2)
        return self.ternary(x, "stem_quant") if self.shortcut == "quantized" else x

    def block(self, x: Value, name: str, channels: int, stride: int) -> Value:
        q = x if self.shortcut == "quantized" else self.ternary(x, f"{name}_quant")
        y = self.ternary(self.conv(q, f"{name}_a", channels, 3, stride), f"{name}_a_quant")
        y = self.conv(y, f"{name}_b", channels, 3, 1)
        if stride != 1 or x.channels != channels:
            x = self.conv(q, f"{name}_down", channels, 1, stride)
            x = self.ternary(x, f"{name}_down_quant") if self.shortcut == "quantized" else x
        total = self.add(y, x, f"{name}_add")
        last = name == "layer4_1"  # its sums go to the last layer as they are
        return self.ternary(total, f"{name}_quant") if self.shortcut == "quantized" and not last else total

    def head(self, x: Value, classes: int) -> str:
        if self.ends == "float32":
            return super().head(x, classes)
        flat = self.g.node("Flatten", [self.g.node("GlobalAveragePool", [x.name], "pool")], "flatten")
        flat = self.g.quant(flat, "features_int8", bits=8, scale=4 / 127)
        w = self.g.quantized_constant("fc_weight", *int8_per_filter(self.normal((classes, x.channels))))
        bias = self.g.constant("fc_bias", self.rng.normal(size=classes).astype(np.float32))
        return self.g.node("Gemm", [flat, w, bias], "fc", transB=1)


class Int8Net(ResNet):
    """QDQ with uint8 activations: zero point 0 after ReLU, 128 before."""

    def stem(self, x: Value, width: int) -> Value:
        y = self.conv_int8(self.uint8(x, "x_int8", 128), "stem", self.normal((width, 3, 7, 7)), 2)
        return self.max_pool(self.uint8(self.relu(y, "stem_relu"), "stem_int8", 0))

    def block(self, x: Value, name: str, channels: int, stride: int) -> Value:
        y = self.conv_int8(x, f"{name}_a", self.normal((channels, x.channels, 3, 3)), stride)
        y = self.uint8(self.relu(y, f"{name}_a_relu"), f"{name}_a_int8", 0)
        y = self.conv_int8(y, f"{name}_b", self.normal((channels, channels, 3, 3)), 1)
        y = self.uint8(y, f"{name}_b_int8", 128)
        if stride != 1 or x.channels != channels:
            x = self.conv_int8(x, f"{name}_down", self.normal((channels, x.channels, 1, 1)), stride)
            x = self.uint8(x, f"{name}_down_int8", 128)
        return self.uint8(self.relu(self.add(y, x, f"{name}_add"), f"{name}_relu"), f"{name}_int8", 0)

    def head(self, x: Value, classes: int) -> str:
        pooled = self.g.node("GlobalAveragePool", [x.name], "pool")
        flat = self.uint8(
            Value(self.g.node("Flatten", [pooled], "flatten"), x.channels, x.mean, x.square), "features_int8", 0
        )
        w = self.g.quantized_constant("fc_weight", *int8_per_filter(self.normal((classes, x.channels))))
        bias = self.g.constant("fc_bias", self.rng.normal(size=classes).astype(np.float32))
        return self.g.node("Gemm", [flat.name, w, bias], "fc", transB=1)


def resnet18(
    form: str,
    *,
    shortcut: str = "quantized",
    weights: str = "ternary",
    ends: str = "float32",
    seed: int = 0,
    size: int = 224,
    classes: int = 1000,
    width: int = 64,
    standard: bool = False,
) -> onnx.ModelProto:
    """The network in one of FORMS; the other options are explained above. width: channels of the first stage.
    standard: quantizers in standard operators instead of QONNX (`ternary` only; the other forms have none).

    Input x float32 [1, 3, size, size], about normally distributed; output y float32 [1, classes].
    """
    if form == "ternary":
        net: ResNet = TernaryNet(shortcut, weights, ends, seed, standard=standard)
    elif form == "int8":
        net = Int8Net("resnet18_int8", seed)
    elif form in FORMS:
        net = FloatNet(form, seed)
    else:
        raise ValueError(f"unknown form '{form}', expected one of: {', '.join(FORMS)}")
    return net.build(size, classes, width)
