"""Random small quantized networks, as hypothesis strategies: the subjects of the passes' and engines' tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32
from xdsl.ir import Operation, SSAValue

from tercet.ir.locations import node_location
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import AddOp, ClipOp, LeakyReluOp, ReluOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from tercet.ir.tn.movement import ReshapeOp
from tercet.ir.tn.pool import MaxPoolOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp
from tercet.ir.types import shape_of, tensor_type

WEIGHT_KINDS = ("ternary", "binary", "signed-binary", "2-bit", "3-bit", "int8", "zero")
LEVELS = {"ternary": (-1, 1), "2-bit": (0, 3), "3-bit": (-4, 3), "int8": (-128, 127), "uint8": (0, 255), "bit": (0, 1)}


@dataclass
class Network:
    """A program with one input `x`, and an input for it [n, C, H, W] float32."""

    program: Program
    x: np.ndarray


class _Builder:
    """Appends operations to a program, each at a location of its own."""

    def __init__(self, channels: int, size: tuple[int, int], rng: np.random.Generator) -> None:
        kind = tensor_type((1, channels, *size), f32)
        self.program = Program.new("random", [Port("x", kind, np.dtype(np.float32))])
        self.rng, self.count = rng, 0

    def add(self, kind: type, *operands: SSAValue, **attributes: Any) -> SSAValue:
        self.count += 1
        op: Operation = kind.make(*operands, at=node_location(kind.name, f"node{self.count}"), **attributes)
        self.program.block.add_op(op)
        return op.results[0]

    def constant(self, name: str, array: np.ndarray) -> SSAValue:
        op = self.program.constant(f"{name}{self.count}", array, at=node_location("Constant", name))
        self.program.block.add_op(op)
        return op.result

    def scalar(self, value: float) -> SSAValue:
        return self.constant("scale", np.full((), value, np.float32))


def weights(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Integer weights of a kind, int8."""
    if kind == "binary":
        return rng.choice(np.array([-1, 1], np.int8), shape)
    if kind == "signed-binary":
        sign = np.where(np.arange(shape[0]) % 2, -1, 1).reshape(-1, *[1] * (len(shape) - 1))
        return (rng.integers(0, 2, shape) * sign).astype(np.int8)
    if kind == "zero":
        return np.zeros(shape, np.int8)
    lo, hi = {"ternary": (-1, 1), "2-bit": (-2, 1), "3-bit": (-3, 3), "int8": (-128, 127)}[kind]
    w = rng.integers(lo, hi + 1, shape).astype(np.int8)
    if rng.integers(4) == 0:
        w[rng.integers(shape[0])] = 0
    return w


def _activation(b: _Builder, draw: st.DrawFn, y: SSAValue) -> SSAValue:
    match draw(st.sampled_from(("none", "relu", "leaky", "clip"))):
        case "relu":
            return b.add(ReluOp, y)
        case "leaky":
            return b.add(LeakyReluOp, y, alpha=0.25)
        case "clip":
            return b.add(ClipOp, y, lo=-1.5, hi=2.5)
    return y


def _batch_norm(b: _Builder, draw: st.DrawFn, y: SSAValue) -> SSAValue:
    if not draw(st.booleans()):
        return y
    n, rng = shape_of(y)[1], b.rng
    scale = rng.normal(size=n).astype(np.float32)
    scale[rng.random(n) < 0.1] = 0
    arrays = (scale, rng.normal(size=n), 3 * rng.normal(size=n), rng.random(n) * 8 + 0.01)
    return b.add(BatchNormOp, y, *(b.constant("bn", np.asarray(a, np.float32)) for a in arrays), epsilon=1e-5)


def _quantize(b: _Builder, draw: st.DrawFn, y: SSAValue, *, wide: bool) -> SSAValue:
    lo, hi = LEVELS[draw(st.sampled_from(tuple(LEVELS) if wide else ("ternary", "2-bit", "3-bit", "bit")))]
    scale = draw(st.sampled_from((1.0, 0.5, 0.1, 0.37, 2.0)))
    q = b.add(QuantizeOp, y, b.scalar(scale), lo=lo, hi=hi)
    return b.add(DequantizeOp, q, b.scalar(scale))


def _quantized_weights(b: _Builder, draw: st.DrawFn, shape: tuple[int, ...], axis: int) -> SSAValue:
    q = weights(draw(st.sampled_from(WEIGHT_KINDS)), shape, b.rng)
    per_channel = draw(st.booleans())
    scale_shape = [shape[axis] if i == axis and per_channel else 1 for i in range(len(shape))]
    scale = (b.rng.random(scale_shape) + 0.1).astype(np.float32)
    return b.add(DequantizeOp, b.constant("w", q), b.constant("ws", scale))


def _conv(b: _Builder, draw: st.DrawFn, x: SSAValue) -> SSAValue:
    _, channels, height, width = shape_of(x)
    group = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
    kernel = (draw(st.integers(1, min(3, height))), draw(st.integers(1, min(3, width))))
    pads = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    outputs = group * draw(st.integers(1, 5))
    w = _quantized_weights(b, draw, (outputs, channels // group, *kernel), 0)
    operands = [x, w]
    if draw(st.booleans()):
        operands.append(b.constant("bias", b.rng.normal(size=outputs).astype(np.float32)))
    strides = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    fits = all(height_ + 2 > 2 * (k - 1) + 1 for height_, k in zip((height, width), kernel, strict=True))
    dilation = draw(st.sampled_from((1, 2))) if fits and pads == (0, 0, 0, 0) else 1
    if any((k - 1) * dilation >= size for k, size in zip(kernel, (height, width), strict=True)):
        dilation = 1
    return b.add(ConvOp, *operands, strides=strides, pads=pads, dilations=(dilation, dilation), group=group)


@st.composite
def networks(draw: st.DrawFn, *, max_layers: int = 3) -> Network:
    """A quantized convolutional network: quantize, then layers of conv, batch norm, activation, quantizer, pool."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.integers(1, 6))
    size = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    b = _Builder(channels, size, rng)
    y = _quantize(b, draw, b.program.block.args[0], wide=True)
    for _ in range(draw(st.integers(1, max_layers))):
        skip = y
        y = _activation(b, draw, _batch_norm(b, draw, _conv(b, draw, y)))
        if shape_of(y) == shape_of(skip) and draw(st.booleans()):
            y = b.add(AddOp, y, skip)
        y = _quantize(b, draw, y, wide=draw(st.booleans()))
        if min(shape_of(y)[2:]) >= 2 and draw(st.booleans()):
            y = b.add(MaxPoolOp, y, kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1))
    if draw(st.booleans()):
        features = int(np.prod(shape_of(y)))
        y = b.add(ReshapeOp, y, shape=(1, features))
        y = b.add(MatMulOp, y, _quantized_weights(b, draw, (features, draw(st.integers(1, 7))), 1))
    b.program.finish([("y", y, np.dtype(np.float32))])
    samples = draw(st.integers(1, 3))
    return Network(b.program, (rng.normal(size=(samples, channels, *size)) * 2).astype(np.float32))
