"""Quantizers with scales and zero points, which are integer adds and subs around tn.quantize and tn.dequantize."""

from __future__ import annotations

import numpy as np

from ...ir.tn.elementwise import AddOp, ClipOp, SubOp
from ...ir.tn.quant import QuantizeOp
from ...ir.types import range_of
from ..emitter import Emitter, retyped
from ..values import FLOATS, INT32, Refusal, Value, element_for

TARGETS = {"int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2"}


def check_scale(e: Emitter, scale: Value, what: str = "the scale") -> Value:
    """A scale that integers are multiplied by; zero is one, of a pruned channel.

    Returned in float32. Raises Refusal unless it is a float, ModelError for a constant that is not finite.
    """
    if scale.dtype not in FLOATS:
        raise Refusal(f"{what} of dtype {scale.dtype.name} is not supported")
    if scale.array is not None:
        _check_all(e, np.isfinite(scale.array), f"{what} is not finite")
    return e.to_float(scale)


def check_divisor(e: Emitter, scale: Value, what: str = "the scale") -> Value:
    """A scale that floats are divided by. Raises as `check_scale`, and ModelError for a constant zero."""
    scale = check_scale(e, scale, what)
    if scale.array is not None:
        _check_all(
            e, scale.array != 0, f"{what} is zero", "x / 0 has no integer; quantize the model with another scale"
        )
    return scale


def _check_all(e: Emitter, good: np.ndarray, what: str, hint: str = "") -> None:
    """Raises ModelError naming the first channel that is not good, where there are several."""
    if not good.all():
        where = f" in channel {int(np.argmin(good.reshape(-1)))}" if good.size > 1 else ""
        raise e.node.error(what + where, hint)


def shifted(e: Emitter, q: Value, zero: Value | None) -> Value:
    """q - zero point as an exact integer (dtype int32), or q itself without one."""
    if q.is_float or (zero is not None and zero.is_float):
        raise e.node.error("a quantized tensor or its zero point is not an integer tensor")
    if zero is None or zero.equals(0):
        return retyped(q, INT32) if q.is_constant else q
    if q.array is not None and zero.array is not None:
        return Value.constant(q.name, q.array.astype(np.int64) - zero.array.astype(np.int64))
    return e.op(SubOp, q, zero, dtype=INT32)


def saturated(e: Emitter, x: Value, scale: Value, zero: Value | None, dtype: np.dtype) -> Value:
    """saturate(round_half_even(x / scale) + zero) in the full range of dtype. zero is a constant or not.

    Raises Refusal for a dtype that nothing is quantized to.
    """
    if dtype.name not in TARGETS:
        raise Refusal(f"quantization to {dtype.name} is not supported")
    return quantized(e, x, scale, zero, dtype, *range_of(element_for(dtype)))


def quantized(e: Emitter, x: Value, scale: Value, zero: Value | None, dtype: np.dtype, lo: int, hi: int) -> Value:
    """clip(round_half_even(x / scale) + zero, lo, hi). zero is a constant or not."""
    first, last = (0, 0) if zero is None else zero.range
    q = e.op(QuantizeOp, x, scale, dtype=dtype, lo=lo - last, hi=hi - first)
    if zero is None or zero.equals(0):
        return q
    q = e.op(AddOp, q, zero, dtype=dtype)
    return q if first == last else e.op(ClipOp, q, lo=float(lo), hi=float(hi))
