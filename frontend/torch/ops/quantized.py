"""The quantizers of PT2E: `quantized_decomposed`."""

from __future__ import annotations

import numpy as np

from ....ir.tn.quant import DequantizeOp
from ...emitter import Emitter
from ...forms.quantizers import check_divisor, check_scale, quantized, shifted
from ...values import FLOAT, INT64, Refusal, Value
from ..node import TorchNode
from ..registry import QUANTIZED, imports
from ._arguments import Operand, operand


def _parameters(
    e: Emitter, scales: Operand, zeros: Operand | None, x: Value, axis: int | None
) -> tuple[Value, Value | None]:
    """Scale and zero point, shaped to broadcast against x: one number, or one for each index of an axis."""
    scale = operand(e, scales, FLOAT, "scale")
    zero = None if zeros is None else _whole(e, operand(e, zeros, INT64, "zero_point"))
    shape = () if axis is None else [x.shape[axis] if a == axis else 1 for a in range(x.rank)]
    return e.reshape(scale, shape), None if zero is None else e.reshape(zero, shape)


def _whole(e: Emitter, zero: Value) -> Value:
    if not zero.is_constant:
        raise Refusal("a zero point that is computed at run time is not supported")
    return zero


def _quantized(e: Emitter, node: TorchNode, x: Value, scale: Value, zero: Value | None, lo: int, hi: int) -> Value:
    return quantized(e, e.to_float(x), check_divisor(e, scale), zero, node.dtype, lo, hi)


def _dequantized(e: Emitter, node: TorchNode, q: Value, scale: Value, zero: Value | None) -> Value:
    """(q - zero) * scale."""
    return e.op(DequantizeOp, shifted(e, q, zero), check_scale(e, scale), dtype=node.dtype)


@imports("quantize_per_tensor", namespace=QUANTIZED)
def quantize_per_tensor(
    e: Emitter, node: TorchNode, x: Value, scale: Operand, zero: Operand, lo: int, hi: int, dtype: np.dtype, **_: object
) -> Value:
    return _quantized(e, node, x, *_parameters(e, scale, zero, x, None), lo, hi)


@imports("quantize_per_channel", namespace=QUANTIZED)
def quantize_per_channel(
    e: Emitter, node: TorchNode, x: Value, scales: Value, zeros: Value, axis: int, lo: int, hi: int, dtype: np.dtype
) -> Value:
    return _quantized(e, node, x, *_parameters(e, scales, zeros, x, e.axis(axis, x.rank)), lo, hi)


@imports("dequantize_per_tensor", namespace=QUANTIZED, kept=True)
def dequantize_per_tensor(
    e: Emitter, node: TorchNode, q: Value, scale: Operand, zero: Operand, lo: int, hi: int, dtype: np.dtype, **_: object
) -> Value:
    return _dequantized(e, node, q, *_parameters(e, scale, zero, q, None))


@imports("dequantize_per_channel", namespace=QUANTIZED, kept=True)
def dequantize_per_channel(
    e: Emitter,
    node: TorchNode,
    q: Value,
    scales: Value,
    zeros: Value | None,
    axis: int,
    lo: int,
    hi: int,
    dtype: np.dtype,
    **_: object,
) -> Value:
    return _dequantized(e, node, q, *_parameters(e, scales, zeros, q, e.axis(axis, q.rank)))
