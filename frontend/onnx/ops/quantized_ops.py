"""Convolutions and products on quantized tensors: exact integer sums, then one float32 factor and a rounding.

The domain com.microsoft has the forms that onnxruntime's quantizer and optimiser write.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import AddOp, DivOp, MulOp
from ....ir.tn.linear import MatMulOp
from ....ir.tn.quant import DequantizeOp
from ...emitter import Emitter
from ...forms.quantizers import check_divisor, check_scale, saturated, shifted
from ...values import FLOAT, INT32, Value
from ..node import Node
from ..registry import MICROSOFT, imports
from .channels_last import first, last
from .convolution import convolve
from .quantize_linear import BOTH, of_sample


def fold_scales(
    e: Emitter, kind: type[TensorOperation], function: Callable[..., np.ndarray], a: Value, b: Value
) -> Value:
    """float32 arithmetic on scales, at once where both are constant."""
    if a.array is not None and b.array is not None:
        return e.constant(np.asarray(function(a.array, b.array), np.float32), "scale")
    return e.op(kind, a, b)


def times(e: Emitter, a: Value, b: Value) -> Value:
    return fold_scales(e, MulOp, np.multiply, a, b)


def requantized(e: Emitter, total: Value, scale: Value, y_scale: Value, zero: Value | None, dtype: np.dtype) -> Value:
    """Integer sums times scale / y_scale, rounded and saturated (onnxruntime's order of operations)."""
    factor = fold_scales(
        e, DivOp, np.divide, scale, one_number(e, check_divisor(e, y_scale, "the scale of the result"))
    )
    real = e.op(DequantizeOp, total, factor, dtype=FLOAT)
    return saturated(e, real, e.constant(1.0, "one"), None if zero is None else one_number(e, zero), dtype)


def one_number(e: Emitter, value: Value, rank: int = 0) -> Value:
    """A scale or zero point of one element as a scalar; that of a sample keeps its axes. rank: of its tensor."""
    if of_sample(e, value, rank):
        return value
    if value.shape not in ((), (1,)):
        raise e.node.error(f"expected one scale or zero point, got the shape {list(value.shape)}")
    return e.reshape(value, ())


def _by_filter(e: Emitter, value: Value, filters: int, rank: int) -> Value:
    """One number, or one for each filter along the first of `rank` axes."""
    if value.shape in ((), (1,)):
        return e.reshape(value, ())
    if value.shape != (filters,):
        raise e.node.error(f"expected one scale or zero point or {filters}, got the shape {list(value.shape)}")
    return e.reshape(value, (filters, *(1,) * (rank - 1)))


def _filters(e: Emitter, w: Value) -> int:
    if not w.rank:
        raise e.node.error("the weight is a scalar")
    return w.shape[0]


@imports("QLinearConv", domains=BOTH)
def qlinear_conv(
    e: Emitter,
    node: Node,
    x: Value,
    x_scale: Value,
    x_zero: Value,
    w: Value,
    w_scale: Value,
    w_zero: Value,
    y_scale: Value,
    y_zero: Value,
    bias: Value | None = None,
) -> Value:
    """Padding is x's zero point, so zero after the subtraction; the bias is int32 in units of x_scale * w_scale.

    com.microsoft: channels_last = 1 says that x and y are [N, *S, C]; w is [O, C / group, *K] all the same.
    """
    turned = node.domain in MICROSOFT and node.int("channels_last", 0)
    if turned:
        x = first(e, x)
    total = convolve(e, node, *_conv_operands(e, x, x_zero, w, w_zero), bias)
    factor = _by_filter(e, check_scale(e, w_scale, "w_scale"), w.shape[0], x.rank - 1)  # [O, 1, ..] against [N, O, ..]
    scale = times(e, one_number(e, check_scale(e, x_scale, "x_scale")), factor)
    y = requantized(e, total, scale, y_scale, y_zero, y_zero.dtype)
    return last(e, y) if turned else y


def _conv_operands(e: Emitter, x: Value, x_zero: Value | None, w: Value, w_zero: Value | None) -> tuple[Value, Value]:
    x = shifted(e, x, None if x_zero is None else one_number(e, x_zero, x.rank))
    return x, shifted(e, w, None if w_zero is None else _by_filter(e, w_zero, _filters(e, w), w.rank))


@imports("ConvInteger")
def conv_integer(
    e: Emitter, node: Node, x: Value, w: Value, x_zero: Value | None = None, w_zero: Value | None = None
) -> Value:
    """int32 sums; wider ones wrap."""
    return e.wrapped(convolve(e, node, *_conv_operands(e, x, x_zero, w, w_zero)), INT32)


def _row(e: Emitter, value: Value) -> Value:
    """A parameter of the left matrix: one number, [M], or already shaped [.., M, 1]."""
    if value.shape in ((), (1,)):
        return e.reshape(value, ())
    return e.reshape(value, (*value.shape, 1)) if value.rank == 1 else value


def _column(e: Emitter, value: Value) -> Value:
    """A parameter of the right matrix: one number, [N], or already shaped [.., 1, N]."""
    return e.reshape(value, ()) if value.shape in ((), (1,)) else value


def product(e: Emitter, a: Value, a_zero: Value | None, b: Value, b_zero: Value | None) -> Value:
    left = shifted(e, a, None if a_zero is None else _row(e, a_zero))
    right = shifted(e, b, None if b_zero is None else _column(e, b_zero))
    return e.op(MatMulOp, left, right, dtype=INT32)


@imports("MatMulInteger")
def matmul_integer(
    e: Emitter, node: Node, a: Value, b: Value, a_zero: Value | None = None, b_zero: Value | None = None
) -> Value:
    """int32 sums; wider ones wrap."""
    return e.wrapped(product(e, a, a_zero, b, b_zero), INT32)


@imports("QLinearMatMul")
def qlinear_matmul(
    e: Emitter,
    node: Node,
    a: Value,
    a_scale: Value,
    a_zero: Value,
    b: Value,
    b_scale: Value,
    b_zero: Value,
    y_scale: Value,
    y_zero: Value,
) -> Value:
    """Scales and zero points per tensor, per row of a, per column of b."""
    total = product(e, a, a_zero, b, b_zero)
    left, right = _row(e, check_scale(e, a_scale, "a_scale")), _column(e, check_scale(e, b_scale, "b_scale"))
    return requantized(e, total, times(e, left, right), y_scale, y_zero, y_zero.dtype)


@imports("QGemm", domains=MICROSOFT)
def qgemm(
    e: Emitter,
    node: Node,
    a: Value,
    a_scale: Value,
    a_zero: Value,
    b: Value,
    b_scale: Value,
    b_zero: Value,
    c: Value | None = None,
    y_scale: Value | None = None,
    y_zero: Value | None = None,
) -> Value:
    """alpha * a_scale * b_scale * (A' B' + C), float32 without y_scale; C is int32 in units of that scale.

    A' [M, K], B' [K, N] with a scale and zero point for all or for each of its columns; C broadcasts.
    """
    if a.rank != 2 or b.rank != 2:
        raise node.error(f"expected matrices, got the ranks {a.rank} and {b.rank}")
    a = e.transpose(a, (1, 0)) if node.int("transA", 0) else a
    b = e.transpose(b, (1, 0)) if node.int("transB", 0) else b
    total = product(e, a, one_number(e, a_zero), b, b_zero)
    if c is not None:
        shape = total.shape
        total = e.op(AddOp, total, c)
        if total.shape != shape:
            raise node.error(f"C of shape {list(c.shape)} does not broadcast to {list(shape)}")
    left = one_number(e, check_scale(e, a_scale, "a_scale"))
    if (alpha := node.float("alpha", 1.0)) != 1:
        left = times(e, e.constant(alpha, "alpha"), left)
    scale = times(e, left, _column(e, check_scale(e, b_scale, "b_scale")))
    if y_scale is None:
        return e.op(DequantizeOp, total, scale, dtype=FLOAT)
    return requantized(e, total, scale, y_scale, y_zero, a.dtype if y_zero is None else y_zero.dtype)


@imports("MatMulIntegerToFloat", domains=MICROSOFT)
def matmul_integer_to_float(
    e: Emitter,
    node: Node,
    a: Value,
    b: Value,
    a_scale: Value,
    b_scale: Value,
    a_zero: Value | None = None,
    b_zero: Value | None = None,
    bias: Value | None = None,
) -> Value:
    """(a - a_zero) (b - b_zero) * (a_scale * b_scale) + bias in float32; parameters per tensor or per column of b."""
    total = product(e, a, a_zero, b, b_zero)
    left = one_number(e, check_scale(e, a_scale, "a_scale"), a.rank)
    y = e.op(DequantizeOp, total, times(e, left, _column(e, check_scale(e, b_scale, "b_scale"))), dtype=FLOAT)
    return y if bias is None else e.op(AddOp, y, bias)
