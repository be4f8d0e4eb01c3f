"""The layers that are measured, and what they are as ONNX graphs.

A layer whose outputs fit its inputs is measured as a chain of several, each with its own weights: so that converting
the chain's input and output costs little beside it, and weights do not stay in the innermost cache. Layers whose
channels differ are chained with their inverse (64 -> 256 -> 64); strided ones stand alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import onnx
from onnx import TensorProto

from .net import Net, Value
from .weights import integer_weights, two_scales

CHAIN = 4
ACTIVE = 2 / 3
"""The share of ternary activations that are not zero, where no other is asked for."""


@dataclass(frozen=True)
class Conv:
    """A square convolution of [1, inputs, size, size] that pads by half its kernel."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    size: int
    groups: int = 1

    @property
    def weights(self) -> tuple[int, ...]:
        return self.outputs, self.inputs // self.groups, self.kernel, self.kernel


@dataclass(frozen=True)
class Linear:
    """rows x inputs times inputs x outputs."""

    rows: int
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Layer:
    """Convolutions one after the other, or one linear layer."""

    name: str
    parts: tuple[Conv, ...] | tuple[Linear]

    @property
    def linear(self) -> Linear | None:
        return self.parts[0] if isinstance(self.parts[0], Linear) else None

    @property
    def convs(self) -> tuple[Conv, ...]:
        return tuple(part for part in self.parts if isinstance(part, Conv))


@dataclass(frozen=True)
class Kind:
    """Weights ("int8" and "float32" are the peers' own) and the bits of activations, None for float32. active: the
    share of ternary activations that are not zero."""

    weights: str
    bits: int | None
    active: float = ACTIVE

    @property
    def step(self) -> float:
        """That of a quantizer of normally distributed values."""
        assert self.bits is not None
        return {1: 1.0, 2: 2 * NormalDist().inv_cdf(1 - self.active / 2), 8: 4 / 127}[self.bits]


KINDS = {
    "ternary/ternary": Kind("ternary", 2),
    "binary/binary": Kind("binary", 1),
    "binary/ternary": Kind("binary", 2),
    "signed-binary/ternary": Kind("signed-binary", 2),
    "ternary/int8": Kind("ternary", 8),
    "binary/int8": Kind("binary", 8),
    "ternary/fp32": Kind("ternary", None),
    "ttq/fp32": Kind("ttq", None),
    "int8/int8": Kind("int8", 8),
    "fp32/fp32": Kind("float32", None),
}
"""weights/activations. ternary: a third of zeros; signed-binary: 65 % of zeros; ttq: two scales {-Wn, 0, +Wp}."""


def _layers() -> list[Layer]:
    found = [Layer(f"3x3 {c}@{s}", (Conv(c, c, 3, 1, s),) * CHAIN) for c, s in _STAGES]
    for (c, s), (k, _) in pairwise(_STAGES):
        found.append(Layer(f"3x3/2 {c}-{k}@{s}", (Conv(c, k, 3, 2, s),)))
    for (c, s), (k, _) in pairwise(_STAGES):
        found.append(Layer(f"1x1/2 {c}-{k}@{s}", (Conv(c, k, 1, 2, s),)))
    for c, s in _STAGES:
        pair = (Conv(c, 4 * c, 1, 1, s), Conv(4 * c, c, 1, 1, s))
        found.append(Layer(f"1x1 {c}-{4 * c}@{s}", pair * (CHAIN // 2)))
    found.append(Layer("7x7/2 3-64@224", (Conv(3, 64, 7, 2, 224),)))
    found += [Layer(f"linear 4096 x{rows}", (Linear(rows, 4096, 4096),)) for rows in (1, 8, 32, 128)]
    return found


_STAGES = ((64, 56), (128, 28), (256, 14), (512, 7))
LAYERS = {layer.name: layer for layer in _layers()}
DEPTHWISE = {
    name: Layer(name, (Conv(c, c, k, 1, s, c),) * CHAIN)
    for c, k, s in ((32, 3, 112), (96, 3, 56), (192, 3, 28), (96, 7, 28), (384, 3, 14), (960, 3, 7), (256, 3, 4))
    if (name := f"depthwise {k}x{k} {c}@{s}")
}
"""Not among LAYERS: the peers of `run.py` have no depthwise layers."""


def input_of(layer: Layer) -> np.ndarray:
    """Normally distributed float32 input."""
    if linear := layer.linear:
        shape: tuple[int, ...] = (linear.rows, linear.inputs)
    else:
        first = layer.convs[0]
        shape = (1, first.inputs, first.size, first.size)
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def kind_model(layer: Layer, kind: Kind, *, standard: bool = False) -> onnx.ModelProto:
    """What tercet compiles. Input x float32 (int8/int8 convolutions: uint8); the output is float32, or
    integers where activations are quantized.

    standard: quantizers in standard operators instead of QONNX, for the reference.
    """
    if layer.linear:
        return _linear_model(layer.linear, kind, standard)
    if kind.weights == "int8":
        return int8_model(layer)
    return float_model(layer, kind.weights) if kind.bits is None else _quantized_model(layer, kind, standard)


def float_model(layer: Layer, weights: str = "float32") -> onnx.ModelProto:
    """Conv -> batch norm -> ReLU; weights float32, ternary or ttq."""
    net = Net("layer", 0)
    first = layer.convs[0]
    x = Value(net.g.input("x", (1, first.inputs, first.size, first.size)), first.inputs, 0.0, 1.0)
    for i, conv in enumerate(layer.convs):
        shape = conv.weights
        w = net.normal(shape)
        if weights != "float32":
            scale = 1 / math.sqrt(math.prod(shape[1:]))
            negative = 1.15 * scale if weights == "ttq" else scale
            w = two_scales(integer_weights("ternary", shape, net.rng), scale, negative)
        x = net.relu(net.conv_norm(x, f"layer{i}", w, conv.stride, groups=conv.groups), f"layer{i}_relu")
    return net.g.model(x.name, output_shape(layer))


def _quantized_model(layer: Layer, kind: Kind, standard: bool) -> onnx.ModelProto:
    """Quantizer -> (conv with integer weights -> batch norm -> quantizer) ..., QONNX."""
    assert kind.bits is not None
    net, bits = Net("layer", 0, standard=standard), kind.bits
    first = layer.convs[0]
    size = 32.0 if bits == 8 else 1 / kind.step  # of what is quantized with step 1
    x = net.g.input("x", (1, first.inputs, first.size, first.size))
    factor = net.g.constant("size", size)
    q = net.g.quant(net.g.node("Mul", [x, factor], "x_scaled"), "x_quant", bits=bits)
    square = {1: 1.0, 2: kind.active, 8: size**2}[bits]
    y = Value(q, first.inputs, 0.0, square)
    for i, conv in enumerate(layer.convs):
        w = integer_weights(kind.weights, conv.weights, net.rng).astype(np.float32)
        y = net.conv_norm(y, f"layer{i}", w, conv.stride, size=size, groups=conv.groups)
        y = Value(net.g.quant(y.name, f"layer{i}_quant", bits=bits), conv.outputs, 0.0, square)
    last = net.g.node("Cast", [y.name], "out", to=TensorProto.INT8)
    return net.g.model(last, output_shape(layer), TensorProto.INT8)


def int8_model(layer: Layer, *, channels_last: bool = False) -> onnx.ModelProto:
    """QDQ: uint8 in and out, int8 weights for each filter, ReLU. channels_last: [1, H, W, C] in and out, for libraries
    that compute so; their optimisers cancel the transposes."""
    net = Net("layer", 0)
    first = layer.convs[0]
    shape = (1, first.inputs, first.size, first.size)
    last_shape = output_shape(layer)
    if channels_last:
        shape, last_shape = (shape[0], *shape[2:], shape[1]), (last_shape[0], *last_shape[2:], last_shape[1])
    x = net.g.input("x", shape, TensorProto.UINT8)
    if channels_last:
        x = net.g.node("Transpose", [x], "x_first", perm=[0, 3, 1, 2])
    zero = np.array(0, np.uint8)
    y = Value(net.g.dequantize(x, "x_int8", INT8_STEP, zero), first.inputs, 0.8, 1.0)
    for i, conv in enumerate(layer.convs):
        w = net.normal(conv.weights)
        y = net.relu(net.conv_int8(y, f"layer{i}", w, conv.stride, groups=conv.groups), f"layer{i}_relu")
        if i + 1 < len(layer.convs):
            y = net.uint8(y, f"layer{i}_int8", 0)
    scale, zero_name = net.g.constant("out_scale", INT8_STEP), net.g.constant("out_zero", zero)
    out = net.g.node("QuantizeLinear", [y.name, scale, zero_name], "out")
    if channels_last:
        out = net.g.node("Transpose", [out], "out_last", perm=[0, 2, 3, 1])
    return net.g.model(out, last_shape, TensorProto.UINT8)


INT8_STEP = 4 / 255


def uint8_input(layer: Layer, *, channels_last: bool = False) -> np.ndarray:
    """The input of `int8_model`: magnitudes of `input_of`, quantized."""
    x = np.clip(np.rint(np.abs(input_of(layer)) / INT8_STEP), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if channels_last and x.ndim == 4 else x


def kind_input(layer: Layer, kind: Kind) -> np.ndarray:
    """The input of `kind_model`."""
    return uint8_input(layer) if kind.weights == "int8" and not layer.linear else input_of(layer)


def output_shape(layer: Layer) -> tuple[int, ...]:
    if linear := layer.linear:
        return linear.rows, linear.outputs
    conv = layer.convs[-1]
    size = math.ceil(conv.size / conv.stride)
    return 1, conv.outputs, size, size


def _linear_model(linear: Linear, kind: Kind, standard: bool) -> onnx.ModelProto:
    """[quantizer ->] matrix product with a scale for each output. Few-bit activations are quantized again after it."""
    net = Net("layer", 0, standard=standard)
    x, shape = net.g.input("x", (linear.rows, linear.inputs)), (linear.inputs, linear.outputs)
    size = 1 / math.sqrt(linear.inputs)
    if kind.weights == "float32":
        w = net.g.constant("weight", (net.rng.normal(size=shape) * size).astype(np.float32))
    elif kind.weights == "ttq":
        q = integer_weights("ternary", shape, net.rng)
        w = net.g.constant("weight", two_scales(q, size, 1.15 * size))
    else:
        q = _linear_weights(kind.weights, linear, net.rng)
        zero = net.g.constant("weight_zero", np.zeros(linear.outputs, np.int8))
        scale = net.rng.uniform(0.5, 1.5, linear.outputs).astype(np.float32) * size
        operands = [net.g.constant("weight_q", q), net.g.constant("weight_scale", scale.astype(np.float32)), zero]
        w = net.g.node("DequantizeLinear", operands, "weight", axis=1)
    if kind.bits is not None:
        x = net.g.quant(x, "x_quant", bits=kind.bits, scale=kind.step)
    y = net.g.node("MatMul", [x, w], "product")
    if kind.bits in (1, 2):
        bias = net.g.constant("bias", (net.rng.normal(size=linear.outputs) * 0.1).astype(np.float32))
        y = net.g.quant(net.g.node("Add", [y, bias], "sum"), "quant", bits=kind.bits, scale=kind.step)
    return net.g.model(y, (linear.rows, linear.outputs))


def _linear_weights(kind: str, linear: Linear, rng: np.random.Generator) -> np.ndarray:
    """int8 [inputs, outputs]."""
    if kind == "int8":
        return rng.integers(-127, 128, (linear.inputs, linear.outputs)).astype(np.int8)
    return np.ascontiguousarray(integer_weights(kind, (linear.outputs, linear.inputs), rng).T)
