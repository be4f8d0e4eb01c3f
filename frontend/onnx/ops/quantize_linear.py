"""QuantizeLinear and DequantizeLinear, standard or onnxruntime's."""

from __future__ import annotations

import numpy as np

from ....ir.tn.quant import DequantizeOp
from ...emitter import Emitter
from ...forms.quantizers import TARGETS, check_divisor, check_scale, saturated, shifted
from ...values import FLOAT, UINT8, Refusal, Value
from ..node import Node
from ..registry import MICROSOFT, STANDARD, imports
from ..tensors import dtype_of

BOTH = (*STANDARD, *MICROSOFT)
"""onnxruntime writes some standard operators in its own domain, where opsets before 21 lack 16 and 4 bits."""


def of_sample(e: Emitter, parameter: Value, rank: int) -> bool:
    """Whether it is the scalar scale or zero point that dynamic quantization gave each sample of a symbolic batch: one
    element with the batch axis, and as many axes as the tensor of `rank` that it belongs to."""
    return e.batched and parameter.per_sample and rank > 0 and parameter.shape == (1,) * rank


def along(e: Emitter, node: Node, parameter: Value, x: Value) -> Value:
    """A scale or zero point shaped to broadcast against x: per tensor, per axis (attribute axis) or in blocks of it."""
    if of_sample(e, parameter, x.rank):
        return parameter
    if parameter.shape in ((), (1,)) and not node.int("block_size", 0):
        return e.reshape(parameter, ())
    axis = e.axis(node.int("axis", 1), x.rank)
    if (block := node.int("block_size", 0)) > 0:
        return _blocks(e, node, parameter, x, axis, block)
    if parameter.rank != 1 or parameter.shape[0] != x.shape[axis]:
        raise node.error(f"scale or zero point {list(parameter.shape)} does not fit axis {axis} of {list(x.shape)}")
    return e.reshape(parameter, [parameter.shape[0] if a == axis else 1 for a in range(x.rank)])


def _blocks(e: Emitter, node: Node, parameter: Value, x: Value, axis: int, block: int) -> Value:
    want = tuple(-(-d // block) if a == axis else d for a, d in enumerate(x.shape))
    if parameter.shape != want:
        raise node.error(f"scale or zero point {list(parameter.shape)}: blocks of {block} expect {list(want)}")
    return e.take(parameter, np.arange(x.shape[axis]) // block, axis, suffix="blocks")


@imports("QuantizeLinear", domains=BOTH)
def quantize_linear(e: Emitter, node: Node, x: Value, scale: Value, zero: Value | None = None) -> Value:
    """x float32 (integers are converted); the target dtype is the zero point's, output_dtype's, or uint8."""
    if node.int("precision", 0) not in (0, 1):
        raise Refusal("a precision other than float32 is not supported")
    dtype = UINT8 if zero is None else zero.dtype
    if zero is None and node.int("output_dtype", 0):
        dtype = dtype_of(node.int("output_dtype"), where=node.label)
    scale = along(e, node, check_divisor(e, scale), x)
    return saturated(e, e.to_float(x), scale, None if zero is None else along(e, node, zero, x), dtype)


@imports("DequantizeLinear", domains=BOTH)
def dequantize_linear(e: Emitter, node: Node, q: Value, scale: Value, zero: Value | None = None) -> Value:
    """(q - zero) * scale, of the scale's dtype or output_dtype."""
    if q.dtype.name not in TARGETS | {"int32"}:
        raise Refusal(f"dequantization of {q.dtype.name} is not supported")
    if zero is not None and zero.dtype != q.dtype:
        raise node.error(f"the zero point is {zero.dtype.name}, the input {q.dtype.name}")
    dtype = dtype_of(node.int("output_dtype"), where=node.label) if node.int("output_dtype", 0) else scale.dtype
    scale = along(e, node, check_scale(e, scale), q)
    whole = shifted(e, q, None if zero is None else along(e, node, zero, q))
    rounded = _rounded_products(whole, scale, dtype)
    return e.op(DequantizeOp, whole, scale, dtype=dtype) if rounded is None else e.constant(rounded, "floats")


def _rounded_products(whole: Value, scale: Value, dtype: np.dtype) -> np.ndarray | None:
    """Constant weights in a short float dtype, where its rounding changes them: they are then no integers times scales
    any more. None where they still are."""
    if dtype == FLOAT or whole.array is None or scale.array is None:
        return None
    with np.errstate(over="ignore"):
        exact = whole.array.astype(np.float32) * scale.array
        short = exact.astype(dtype)
    return None if np.array_equal(short.astype(np.float32), exact) else short
