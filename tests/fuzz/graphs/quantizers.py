"""Quantizers in all their dialects: QDQ, QONNX, chains of float operators, casts to bool."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .builder import FLOAT, INT2, INT4, RANGES, UINT2, UINT4, Graph, Value
from .numbers import real, scale, scales
from .rule import both, floats, rule, since

QONNX = (
    "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general", "finn", "qonnx.custom_op.channels_last", "",
)  # fmt: skip
ROUNDINGS = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


def _targets(g: Graph) -> list[np.dtype]:
    found = [np.dtype(np.int8), np.dtype(np.uint8)]
    found += [np.dtype(np.int16), np.dtype(np.uint16), INT4, UINT4] if g.opset >= 21 else []
    return [*found, INT2, UINT2] if g.opset >= 25 else found


def _along(g: Graph, x: Value) -> int | None:
    """An axis for scales of their own, or None for one scale."""
    if g.opset < 13 or x.rank < 2 or not g.chance(0.25):
        return None
    axis = 1 if g.chance(0.7) else g.integer(1 if g.batched else 0, x.rank - 1)
    return axis if x.shape[axis] else None


def _blocked(g: Graph, x: Value, s: np.ndarray, axis: int) -> tuple[np.ndarray, int]:
    """Scales for blocks of two or three along an axis, and the size of the blocks."""
    size = g.pick((2, 3))
    shape = [-(-d // size) if i == axis else d for i, d in enumerate(x.shape)]
    return np.resize(s, shape).astype(np.float32), size


@dataclass(frozen=True)
class Quantized:
    """Integers and what they mean; axis and block are attributes."""

    q: Value
    scale: Value
    zero: Value | None
    axis: int | None
    block: int | None


def quantized(g: Graph, x: Value, dtype: np.dtype, *, levels: int | None = None) -> Quantized:
    """QuantizeLinear of x. levels: how many of the integers x about fills."""
    lo, hi = RANGES[dtype.name]
    span = max(abs(lo), hi) if levels is None else levels
    axis = _along(g, x)
    about = x.size / max(span, 1) * g.pick((0.3, 1.0, 1.0, 2.0))
    block = None
    if axis is None:
        s = g.constant(np.float32(scale(g, about)))
    else:
        table = scales(g, about, x.shape[axis])
        if g.opset >= 21 and not g.batched and g.chance(0.2):
            table, block = _blocked(g, x, table, axis)
        s = g.constant(table)
    shape = s.shape
    offset = g.pick((0, 0, 0, 1, lo, hi, 3))
    offset = min(max(offset, lo), hi)
    zero = None if dtype == np.uint8 and g.chance(0.3) else g.constant(np.full(shape, offset).astype(dtype))
    q = g.op("QuantizeLinear", [x, s, zero], x.shape, dtype=dtype, size=max(abs(lo), hi), axis=axis, block_size=block)
    return Quantized(q, s, zero, axis, block)


@rule("QDQ", both(floats, since(10)), weight=3, ops=("QuantizeLinear", "DequantizeLinear"))
def quantize_dequantize(g: Graph, x: Value) -> list[Value]:
    """Both, now and then with Clip between (ternary in int8); later nodes may read the integers too."""
    dtype = g.pick(_targets(g))
    levels = g.pick((1, 3, None))
    made = quantized(g, x, dtype, levels=levels)
    between = q = made.q
    if dtype.name in ("int8", "uint8") and g.opset >= 12 and g.chance(0.4):
        lo, hi = g.pick(((-1, 1), (-2, 1), (-8, 7))) if dtype.name == "int8" else g.pick(((0, 1), (0, 3), (0, 15)))
        between = g.op("Clip", [q, g.constant(np.array(lo, dtype)), g.constant(np.array(hi, dtype))], q.shape, size=hi)
    y = g.op(
        "DequantizeLinear", [between, made.scale, made.zero], x.shape, dtype=FLOAT, size=x.size, axis=made.axis,
        block_size=made.block,
    )  # fmt: skip
    return [y, between] if g.chance(0.3) else [y]


@rule(
    "DequantizeLinear", lambda g, x: g.opset >= 10 and x.dtype.name in RANGES and x.dtype.name not in ("bool", "int64")
)
def dequantize(g: Graph, x: Value) -> Value:
    g.need(x.dtype.name != "int16" or g.opset >= 21)
    s = g.constant(np.float32(scale(g, 1.0 / max(x.size, 1.0))))
    zero = (
        g.constant(np.array(g.pick((0, 1)), np.int32).astype(x.dtype))
        if g.chance(0.4) and x.dtype != np.int32
        else None
    )
    return g.op("DequantizeLinear", [x, s, zero], x.shape, dtype=FLOAT, size=x.size * float(s.size))


def _shape_of_scale(g: Graph, x: Value) -> tuple[int, ...]:
    """Of a QONNX parameter: a scalar, [1], or one number a channel."""
    options: list[tuple[int, ...]] = [(), (1,)] if x.rank else [()]
    if x.rank >= 2 and x.shape[1]:
        options.append(tuple(d if i == 1 else 1 for i, d in enumerate(x.shape)))
    return g.pick(options)


def _quant(g: Graph, x: Value, kind: str) -> Value:
    bits, signed = g.pick((1, 2, 2, 3, 4, 8)), int(g.chance(0.6))
    narrow = int(bits > 1 and g.chance(0.3))
    levels = 2 ** (bits - signed)
    shape = _shape_of_scale(g, x)
    s = scales(g, x.size / levels * g.pick((0.5, 1.0, 2.0)), int(np.prod(shape))).reshape(shape)
    zero = np.float32(g.pick((0, 0, 0, 1, 0.5)))
    if bits == 1 and signed:
        zero = np.float32(0)
    inputs = [x, g.constant(s), g.constant(zero), g.constant(np.float32(bits))]
    return g.op(
        kind, inputs, x.shape, size=max(float(s.max(initial=0)) * levels, 1e-6), domain=g.pick(QONNX[:5]),
        signed=signed, narrow=narrow, rounding_mode=g.pick(ROUNDINGS) if g.chance(0.5) else "ROUND",
    )  # fmt: skip


@rule("Quant", floats, weight=3, domains=QONNX)
def quant(g: Graph, x: Value) -> Value:
    return _quant(g, x, "Quant")


@rule("IntQuant", floats, domains=QONNX)
def int_quant(g: Graph, x: Value) -> Value:
    return _quant(g, x, "IntQuant")


@rule("BipolarQuant", floats, weight=2, domains=QONNX)
def bipolar(g: Graph, x: Value) -> Value:
    s = g.constant(np.float32(scale(g, x.size)))
    return g.op("BipolarQuant", [x, s], x.shape, size=s.size, domain=g.pick(QONNX[:5]))


@rule("Trunc", floats, domains=QONNX)
def trunc(g: Graph, x: Value) -> Value:
    s = scale(g, x.size / 64)
    zero = g.constant(np.float32(g.pick((0, 0, 2))))
    wide, narrow = g.constant(np.float32(8)), g.constant(np.float32(g.pick((4, 6))))
    mode = g.pick((None, "ROUND", "CEIL", "FLOOR"))
    if g.chance(0.5):
        inputs = [x, g.constant(np.float32(s)), zero, wide, narrow]
    else:
        inputs = [x, g.constant(np.float32(s)), zero, wide, g.constant(np.float32(s * 4)), narrow]
    return g.op("Trunc", inputs, x.shape, domain=g.pick(QONNX[:3]), rounding_mode=mode)


@rule("MultiThreshold", lambda g, x: x.is_float and x.rank >= 2, weight=2, domains=QONNX)
def multi_threshold(g: Graph, x: Value) -> Value:
    last = x.rank == 4 and g.chance(0.2)
    channels, steps = x.shape[-1 if last else 1], g.pick((1, 2, 3, 7, 15))
    rows = g.pick((1, channels)) if channels else 1
    table = np.sort(real(g, (rows, steps), x.size), axis=1)
    if g.chance(0.2):
        table[:, -1] = table[:, 0]  # equal thresholds
    out = g.pick(((1.0, 0.0), (1.0, -1.0), (2.0, -1.0), (scale(g, 0.3), 0.0), (0.5, -0.5)))
    layout = ("NHWC" if last else "NCHW") if x.rank == 4 else None
    return g.op(
        "MultiThreshold", [x, g.constant(table)], x.shape, size=out[0] * steps + abs(out[1]), domain=g.pick(QONNX[:5]),
        out_scale=out[0], out_bias=out[1], data_layout=layout,
    )  # fmt: skip


def _clip(g: Graph, x: Value, lo: float, hi: float) -> Value:
    size = max(abs(lo), abs(hi))
    if g.opset < 11:
        return g.op("Clip", [x], x.shape, size=size, min=float(lo), max=float(hi))
    return g.op("Clip", [x, g.constant(np.float32(lo)), g.constant(np.float32(hi))], x.shape, size=size)


@rule("float quantizer", floats, weight=2, ops=("Div", "Round", "Clip", "Mul", "Floor", "Add", "Sub"))
def chain(g: Graph, x: Value) -> list[Value]:
    """Div, Round, Clip, Mul and their relatives, as a torch export without quantization operators has them."""
    rounds = "Round" if g.opset >= 11 else "Floor"
    lo, hi = g.pick(((-1, 1), (0, 1), (0, 3), (-4, 3), (0, 15), (-128, 127)))
    s = scale(g, x.size / max(abs(lo), hi))
    one = g.constant(np.float32(s))
    y = g.op("Div", [x, one], x.shape, size=x.size / s) if g.chance(0.6) else g.op(
        "Mul", [x, g.constant(np.float32(1 / np.float32(s)))], x.shape, size=x.size / s
    )  # fmt: skip
    zero = g.constant(np.float32(g.pick((1, 8, 0.5)))) if g.chance(0.3) else None
    if zero:
        y = g.op("Add", [y, zero], x.shape)
    if g.chance(0.5):
        y = g.op(rounds, [_clip(g, y, lo, hi)], x.shape)
    elif g.chance(0.5):
        y = _clip(g, g.op(rounds, [y], x.shape), lo, hi)
    else:
        y = _clip(g, g.op("Floor", [g.op("Add", [y, g.constant(np.float32(0.5))], x.shape)], x.shape), lo, hi)
    if zero and g.chance(0.7):
        y = g.op("Sub", [y, zero], x.shape)
    q = y
    if g.chance(0.8):
        y = g.op("Mul", [y, one], x.shape, size=s * max(abs(lo), hi))
    return [y, q] if g.chance(0.2) else [y]
