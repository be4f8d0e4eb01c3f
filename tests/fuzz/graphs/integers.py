"""Operators on quantized tensors: the QOperator format."""

from __future__ import annotations

import numpy as np

from .builder import RANGES, Graph, Value
from .numbers import digits, scale, scales
from .quantizers import quantized
from .rule import both, full, rank, rule
from .windows import split_channels, window

BYTES = (np.dtype(np.int8), np.dtype(np.uint8))


def _bytes(g: Graph, x: Value) -> tuple[Value, Value, Value]:
    """(8-bit integers, scale, zero point): x quantized, or x itself where it is one already."""
    if x.is_float:
        made = quantized(g, x, g.pick(BYTES))
        q, s, zero = made.q, made.scale, made.zero
        g.need(made.axis is None)
    else:
        q, s, zero = x, g.constant(np.float32(scale(g, 0.05))), None
    lo, hi = RANGES[q.dtype.name]
    return (
        q,
        s,
        zero or g.constant(np.array(g.pick((0, lo, hi, 3)), q.dtype) if not x.is_float else np.array(0, q.dtype)),
    )


def _weights(g: Graph, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    kind = g.pick(("ternary", "binary", "4-bit", "int8", "zero"))
    w = digits(g, kind, shape)
    return (np.abs(w) if dtype == np.uint8 else w).clip(*RANGES[dtype.name]).astype(dtype)


def _takes(g: Graph, x: Value) -> bool:
    return g.opset >= 10 and (x.is_float or x.dtype in BYTES)


def _output(g: Graph, about: float) -> tuple[Value, Value]:
    """Scale and zero point of a result."""
    dtype = g.pick(BYTES)
    lo = RANGES[dtype.name][0]
    return g.constant(np.float32(scale(g, about / 100))), g.constant(np.array(g.pick((0, lo, 7)), dtype))


@rule("QLinearConv", both(_takes, full, rank(3, 4)), weight=2)
def qlinear_conv(g: Graph, x: Value) -> Value:
    q, s, zero = _bytes(g, x)
    channels = x.shape[1]
    group, outputs = split_channels(g, channels)
    attributes, kernel, size = window(g, x.shape[2:])
    dtype = g.pick(BYTES) if q.dtype == np.uint8 else np.dtype(np.int8)
    w = g.constant(_weights(g, (outputs, channels // group, *kernel), dtype))
    per_filter = g.chance(0.5) and dtype == np.int8
    ws = g.constant(scales(g, 0.1, outputs)) if per_filter else g.constant(np.float32(scale(g, 0.1)))
    wz = g.constant(np.zeros(ws.shape, dtype)) if per_filter or g.chance(0.6) else g.constant(np.array(2, dtype))
    about = s.size * q.size * ws.size * max(w.size, 1.0) * np.sqrt(np.prod(w.shape[1:]))
    ys, yz = _output(g, about)
    bias = g.constant(g.rng.integers(-500, 500, outputs).astype(np.int32)) if g.chance(0.5) else None
    return g.op(
        "QLinearConv", [q, s, zero, w, ws, wz, ys, yz, bias], (x.shape[0], outputs, *size), dtype=yz.dtype, size=128,
        group=group, **attributes,
    )  # fmt: skip


@rule("ConvInteger", both(_takes, full, rank(3, 4)))
def conv_integer(g: Graph, x: Value) -> Value:
    q, _, zero = _bytes(g, x)
    channels = x.shape[1]
    group, outputs = split_channels(g, channels)
    attributes, kernel, size = window(g, x.shape[2:])
    w = g.constant(_weights(g, (outputs, channels // group, *kernel), g.pick(BYTES)))
    wz = g.constant(np.array(1, w.dtype)) if g.chance(0.3) else None
    about, shape = q.size * max(w.size, 1.0) * np.sqrt(np.prod(w.shape[1:])), (x.shape[0], outputs, *size)
    return g.op(
        "ConvInteger", [q, w, zero, wz], shape, dtype=np.dtype(np.int32), size=about, group=group,
        **attributes,
    )  # fmt: skip


def _matrix(g: Graph, x: Value) -> None:
    g.need(x.rank >= 2 and x.shape[-1] > 0)


@rule("QLinearMatMul", both(_takes, full), weight=2)
def qlinear_matmul(g: Graph, x: Value) -> Value:
    _matrix(g, x)
    q, s, zero = _bytes(g, x)
    columns = g.pick((1, 3, 8, 17))
    dtype = np.dtype(np.int8) if q.dtype == np.int8 else g.pick(BYTES)
    w = g.constant(_weights(g, (columns, x.shape[-1]), dtype).T.copy())
    per_column = g.chance(0.4)
    ws = g.constant(scales(g, 0.1, columns)) if per_column else g.constant(np.float32(scale(g, 0.1)))
    wz = g.constant(np.zeros(ws.shape, dtype))
    ys, yz = _output(g, s.size * q.size * ws.size * max(w.size, 1.0) * np.sqrt(x.shape[-1]))
    return g.op("QLinearMatMul", [q, s, zero, w, ws, wz, ys, yz], (*x.shape[:-1], columns), dtype=yz.dtype, size=128)


@rule("MatMulInteger", both(_takes, full))
def matmul_integer(g: Graph, x: Value) -> Value:
    _matrix(g, x)
    q, _, zero = _bytes(g, x)
    columns = g.pick((1, 3, 8, 17))
    w = g.constant(_weights(g, (columns, x.shape[-1]), g.pick(BYTES)).T.copy())
    wz = g.constant(np.array(1, w.dtype)) if g.chance(0.3) else None
    about = q.size * max(w.size, 1.0) * np.sqrt(x.shape[-1])
    return g.op("MatMulInteger", [q, w, zero, wz], (*x.shape[:-1], columns), dtype=np.dtype(np.int32), size=about)
