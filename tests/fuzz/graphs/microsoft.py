"""onnxruntime's own operators on quantized tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .builder import FLOAT, Graph, Value
from .integers import BYTES, _bytes, _output, _takes, _weights
from .numbers import real, scale, scales
from .rule import both, floats, full, rank, rule
from .windows import split_channels, window

MICROSOFT = ("com.microsoft",)


def _operand(g: Graph, x: Value, like: Value | None = None) -> list[Value]:
    """Integers, scale and zero point; of the dtype of another operand, which some operators want."""
    if like is None or x.dtype == like.dtype:
        return list(_bytes(g, x))
    g.need(x.is_float)
    s, zero = g.constant(np.float32(scale(g, x.size / 100))), g.constant(np.zeros((), like.dtype))
    return [g.op("QuantizeLinear", [x, s, zero], x.shape, dtype=like.dtype, size=127), s, zero]


def _result(g: Graph, dtype: np.dtype, about: float) -> list[Value]:
    s, zero = _output(g, about)
    return [s, zero if zero.dtype == dtype else g.constant(np.zeros((), dtype))]


def _write(
    g: Graph, kind: str, inputs: Sequence[Value | None], shape: Sequence[int], dtype: np.dtype, **more: Any
) -> Value:
    return g.op(kind, inputs, shape, dtype=dtype, size=128, domain=MICROSOFT[0], **more)


@rule("com.microsoft QuantizeLinear", floats, domains=MICROSOFT, ops=("QuantizeLinear", "DequantizeLinear"))
def quantize_dequantize(g: Graph, x: Value) -> Value:
    dtype = np.dtype(g.pick((np.int8, np.uint8, np.int16, np.uint16)))
    s, zero = g.constant(np.float32(scale(g, x.size / 100))), g.constant(np.array(g.pick((0, 3)), dtype))
    q = _write(g, "QuantizeLinear", [x, s, zero], x.shape, dtype)
    return g.op("DequantizeLinear", [q, s, zero], x.shape, dtype=FLOAT, size=x.size, domain=MICROSOFT[0])


def _enter_binary(name: str) -> None:
    @rule(name, both(_takes, full), domains=MICROSOFT)
    def build(g: Graph, x: Value) -> Value:
        other = g.partner(x)
        shape = g.joined(x, other)
        g.need(shape is not None)
        a = _operand(g, x)
        b = _operand(g, other, a[0])
        size = x.size * other.size if name == "QLinearMul" else x.size + other.size
        result = _result(g, a[0].dtype, size if x.is_float else 10.0)
        return _write(g, name, [*a, *b, *result], shape or (), a[0].dtype)


for _name in ("QLinearAdd", "QLinearMul"):
    _enter_binary(_name)


def _enter_unary(name: str, about: float, attributes: Any) -> None:
    @rule(name, both(_takes, full), domains=MICROSOFT)
    def build(g: Graph, x: Value) -> Value:
        g.need(x.rank >= 1)
        a = _operand(g, x)
        return _write(g, name, [*a, *_result(g, a[0].dtype, about)], x.shape, a[0].dtype, **attributes(g, x))


def _softmax_axis(g: Graph, x: Value) -> dict[str, Any]:
    first = 1 if g.batched else 0
    g.need(x.rank > first)
    return {"axis": g.integer(first, x.rank - 1), "opset": 13}


_enter_unary("QLinearSigmoid", 1.0, lambda g, x: {})
_enter_unary("QLinearLeakyRelu", 4.0, lambda g, x: {"alpha": g.pick((0.1, 0.25))})
_enter_unary("QLinearSoftmax", 1.0, _softmax_axis)


@rule("QLinearConcat", both(_takes, full), domains=MICROSOFT)
def concat(g: Graph, x: Value) -> Value:
    first = 1 if g.batched else 0
    g.need(x.rank > first)
    axis = g.integer(first, x.rank - 1)
    a = _operand(g, x)
    parts, total = [a], x.shape[axis]
    same = [v for v in g.values if (v.is_float or v.dtype == a[0].dtype) and v.shape == x.shape]
    for _ in range(g.integer(0, 2)):
        if same:
            parts.append(_operand(g, g.pick(same), a[0]))
            total += x.shape[axis]
    shape = [total if i == axis else d for i, d in enumerate(x.shape)]
    inputs = [*_result(g, a[0].dtype, 4.0), *(v for part in parts for v in part)]
    return _write(g, "QLinearConcat", inputs, shape, a[0].dtype, axis=axis)


@rule("QLinearAveragePool", both(_takes, full, rank(3, 4)), domains=MICROSOFT)
def average_pool(g: Graph, x: Value) -> Value:
    attributes, kernel, size = window(g, x.shape[2:], inside=True)
    g.need(set(attributes.pop("dilations")) <= {1})
    a = _operand(g, x)
    inputs = [*a, *_result(g, a[0].dtype, 4.0)]
    count = g.pick((None, 1))
    shape = (*x.shape[:2], *size)
    return _write(
        g, "QLinearAveragePool", inputs, shape, a[0].dtype, kernel_shape=kernel, count_include_pad=count, **attributes
    )


@rule("QLinearGlobalAveragePool", both(_takes, full, rank(4)), domains=MICROSOFT)
def global_average_pool(g: Graph, x: Value) -> Value:
    a = _operand(g, x)
    inputs = [*a, *_result(g, a[0].dtype, 4.0)]
    return _write(g, "QLinearGlobalAveragePool", inputs, (*x.shape[:2], 1, 1), a[0].dtype, channels_last=0)


@rule("QLinearReduceMean", both(_takes, full), domains=MICROSOFT, weight=0.5)
def reduce_mean(g: Graph, x: Value) -> Value:
    first = 1 if g.batched else 0
    g.need(x.rank > first)
    axis = g.integer(first, x.rank - 1)
    a = _operand(g, x)
    shape = [1 if i == axis else d for i, d in enumerate(x.shape)]
    return _write(
        g, "QLinearReduceMean", [*a, *_result(g, a[0].dtype, 4.0)], shape, a[0].dtype, axes=[axis], keepdims=1
    )


@rule("QLinearWhere", both(_takes, full), domains=MICROSOFT, weight=0.5)
def where(g: Graph, x: Value) -> Value:
    a = _operand(g, x)
    condition = g.op("Equal", [a[0], a[2]], x.shape, dtype=np.dtype(np.bool_), size=1) if g.opset >= 19 else None
    g.need(condition is not None)
    b = _operand(g, x, a[0])
    return _write(g, "QLinearWhere", [condition, *a, *b, *_result(g, a[0].dtype, 4.0)], x.shape, a[0].dtype)


@rule("com.microsoft QLinearConv", both(_takes, full, rank(4)), domains=MICROSOFT, ops=("QLinearConv",), weight=0.5)
def channels_last_conv(g: Graph, x: Value) -> Value:
    """On [N, H, W, C], between two transposes."""
    q, s, zero = _operand(g, x)
    turned = g.op("Transpose", [q], [x.shape[p] for p in (0, 2, 3, 1)], perm=(0, 2, 3, 1))
    group, outputs = split_channels(g, x.shape[1])
    attributes, kernel, size = window(g, x.shape[2:])
    w = g.constant(_weights(g, (outputs, x.shape[1] // group, *kernel), np.dtype(np.int8)))
    ws = g.constant(np.float32(scale(g, 0.1)))
    inputs = [turned, s, zero, w, ws, g.constant(np.int8(0)), *_result(g, q.dtype, 4.0)]
    y = _write(
        g, "QLinearConv", inputs, (x.shape[0], *size, outputs), q.dtype, group=group, channels_last=1, **attributes
    )
    return g.op("Transpose", [y], [y.shape[p] for p in (0, 3, 1, 2)], perm=(0, 3, 1, 2))


@rule("NhwcMaxPool", both(_takes, full, rank(4)), domains=MICROSOFT, weight=0.5)
def nhwc_max_pool(g: Graph, x: Value) -> Value:
    q = _operand(g, x)[0]
    turned = g.op("Transpose", [q], [x.shape[p] for p in (0, 2, 3, 1)], perm=(0, 2, 3, 1))
    attributes, kernel, size = window(g, x.shape[2:], inside=True)
    y = _write(g, "NhwcMaxPool", [turned], (x.shape[0], *size, x.shape[1]), q.dtype, kernel_shape=kernel, **attributes)
    return g.op("Transpose", [y], [y.shape[p] for p in (0, 3, 1, 2)], perm=(0, 3, 1, 2))


@rule("QGemm", both(_takes, full, rank(2)), domains=MICROSOFT)
def gemm(g: Graph, x: Value) -> Value:
    """To integers or to float32."""
    a = _operand(g, x)
    columns = g.pick((1, 3, 8))
    w = g.constant(_weights(g, (columns, x.shape[1]), a[0].dtype))
    ws = g.constant(np.float32(scale(g, 0.1)))
    bias = g.constant(g.rng.integers(-300, 300, columns).astype(np.int32)) if g.chance(0.5) else None
    inputs = [*a, w, ws, g.constant(np.zeros((), w.dtype)), bias]
    if g.chance(0.5):
        inputs += _result(g, a[0].dtype, 4.0)
        return _write(g, "QGemm", inputs, (x.shape[0], columns), a[0].dtype, transB=1)
    return _write(g, "QGemm", inputs, (x.shape[0], columns), FLOAT, transB=1)


@rule(
    "DynamicQuantizeMatMul",
    both(floats, full),
    domains=MICROSOFT,
    ops=("DynamicQuantizeMatMul", "MatMulIntegerToFloat"),
)
def dynamic_product(g: Graph, x: Value) -> Value:
    g.need(x.rank >= 2)
    columns = g.pick((1, 3, 8))
    w = g.constant(_weights(g, (columns, x.shape[-1]), g.pick(BYTES)).T.copy())
    per_column = g.chance(0.3)
    ws = g.constant(scales(g, 0.1, columns)) if per_column else g.constant(np.float32(scale(g, 0.1)))
    wz = g.constant(np.zeros(ws.shape, w.dtype))
    bias = g.constant(real(g, (columns,), x.size)) if g.chance(0.5) else None
    size, shape = x.size * max(w.size, 1.0) * ws.size, (*x.shape[:-1], columns)
    if g.chance(0.5):
        inputs = [x, w, ws, wz, bias]
        return g.op("DynamicQuantizeMatMul", inputs, shape, dtype=FLOAT, size=size, domain=MICROSOFT[0])
    q, s, zero = _operand(g, x)
    inputs = [q, w, s, ws, zero, wz, bias]
    return g.op("MatMulIntegerToFloat", inputs, shape, dtype=FLOAT, size=size, domain=MICROSOFT[0])
