"""Convolutions and matrix products on quantized tensors: exact integer sums, then one float32 factor and a rounding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import DivOp, MulOp
from ....ir.tn.linear import MatMulOp
from ....ir.tn.quant import DequantizeOp
from ..emitter import Emitter
from ..node import Node
from ..registry import imports
from ..values import FLOAT, INT32, Value
from .convolution import convolve
from .quantize_linear import check_scale, saturated, shifted


def _fold(e: Emitter, kind: type[TensorOperation], function: Callable[..., np.ndarray], a: Value, b: Value) -> Value:
    """float32 arithmetic on scales, at once where both are constant."""
    if a.array is not None and b.array is not None:
        return e.constant(np.asarray(function(a.array, b.array), np.float32), "scale")
    return e.op(kind, a, b)


def _requantized(e: Emitter, total: Value, scales: tuple[Value, Value, Value], zero: Value) -> Value:
    """Integer sums times x_scale * w_scale / y_scale, rounded and saturated (onnxruntime's order of operations)."""
    x, w, y = scales
    factor = _fold(e, DivOp, np.divide, _fold(e, MulOp, np.multiply, x, w), y)
    real = e.op(DequantizeOp, total, factor, dtype=FLOAT)
    return saturated(e, real, e.constant(1.0, "one"), _scalar(e, zero), zero.dtype)


def _scalar(e: Emitter, value: Value) -> Value:
    if value.shape not in ((), (1,)):
        raise e.node.error(f"want one scale or zero point, have the shape {list(value.shape)}")
    return e.reshape(value, ())


def _by_filter(e: Emitter, value: Value, filters: int, rank: int) -> Value:
    """One number, or one for each filter along the first of `rank` axes."""
    if value.shape in ((), (1,)):
        return e.reshape(value, ())
    if value.shape != (filters,):
        raise e.node.error(f"want one scale or zero point or {filters}, have the shape {list(value.shape)}")
    return e.reshape(value, (filters, *(1,) * (rank - 1)))


def _filters(e: Emitter, w: Value) -> int:
    if not w.rank:
        raise e.node.error("the weight is a scalar")
    return w.shape[0]


@imports("QLinearConv")
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
    """Padding is x's zero point, so zero after the subtraction; the bias is int32 in units of x_scale * w_scale."""
    total = convolve(e, node, *_conv_operands(e, x, x_zero, w, w_zero), bias)
    factor = _by_filter(e, check_scale(e, w_scale, "w_scale"), w.shape[0], x.rank - 1)  # [O, 1, ..] against [N, O, ..]
    scales = (_scalar(e, check_scale(e, x_scale, "x_scale")), factor, _scalar(e, check_scale(e, y_scale, "y_scale")))
    return _requantized(e, total, scales, y_zero)


def _conv_operands(e: Emitter, x: Value, x_zero: Value | None, w: Value, w_zero: Value | None) -> tuple[Value, Value]:
    x = shifted(e, x, None if x_zero is None else _scalar(e, x_zero))
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


def _product(e: Emitter, a: Value, a_zero: Value | None, b: Value, b_zero: Value | None) -> Value:
    left = shifted(e, a, None if a_zero is None else _row(e, a_zero))
    right = shifted(e, b, None if b_zero is None else _column(e, b_zero))
    return e.op(MatMulOp, left, right, dtype=INT32)


@imports("MatMulInteger")
def matmul_integer(
    e: Emitter, node: Node, a: Value, b: Value, a_zero: Value | None = None, b_zero: Value | None = None
) -> Value:
    """int32 sums; wider ones wrap."""
    return e.wrapped(_product(e, a, a_zero, b, b_zero), INT32)


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
    total = _product(e, a, a_zero, b, b_zero)
    left, right = _row(e, check_scale(e, a_scale, "a_scale")), _column(e, check_scale(e, b_scale, "b_scale"))
    return _requantized(e, total, (left, right, _scalar(e, check_scale(e, y_scale, "y_scale"))), y_zero)
