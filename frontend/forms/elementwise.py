"""Arithmetic that takes several operations, and casts."""

from __future__ import annotations

from math import prod

import numpy as np

from ...ir.tn.elementwise import AddOp, DivOp, MulOp, PowOp, SubOp
from ...ir.tn.logic import SelectOp
from ...ir.tn.quant import ThresholdOp
from ...ir.types import contains
from ..emitter import Emitter, retyped
from ..values import FLOATS, INT32, Refusal, Value, container, element_for


def negative(e: Emitter, x: Value) -> Value:
    """Floats times -1, which is exact; 0 - x for integers, which wraps."""
    if x.is_float:
        return e.op(MulOp, x, e.constant(-1.0, "minus"))
    return e.wrapped(e.op(SubOp, e.constant(np.zeros((), x.dtype), "zero"), x), x.dtype)


def reciprocal(e: Emitter, x: Value) -> Value:
    return e.op(DivOp, e.constant(1.0, "one"), x, dtype=x.dtype)


def power(e: Emitter, x: Value, exponent: Value) -> Value:
    """Of x's dtype. Squares and cubes are products; integers take constant whole exponents, exactly."""
    if not x.is_float:
        return _whole_power(e, x, e.known(exponent, "the exponent of integers"))
    if prod(exponent.shape) == 1 and exponent.rank <= x.rank and (exponent.equals(2) or exponent.equals(3)):
        square = e.op(MulOp, x, x)
        return square if exponent.equals(2) else e.op(MulOp, square, x)
    return e.op(PowOp, x, e.to_float(exponent))


def _whole_power(e: Emitter, x: Value, given: np.ndarray) -> Value:
    """The product of x, x^2, x^4, .. for the digits of the exponents."""
    exponents = given.astype(np.int64)
    if given.size == 0 or not np.array_equal(exponents, given) or exponents.min() < 0 or exponents.max() >= 64:
        raise Refusal("a power of integers other than 0 to 63 is not supported")
    y, square = e.constant(np.ones((), x.dtype), "one"), x
    one = y
    for digit in range(max(int(exponents.max()).bit_length(), 1)):
        if digit:
            square = e.wrapped(e.op(MulOp, square, square), x.dtype)
        chosen = e.constant(exponents >> digit & 1, f"digit{digit}")
        factor = e.op(SelectOp, chosen, square, one, dtype=x.dtype)
        y = factor if y is one else e.wrapped(e.op(MulOp, y, factor), x.dtype)
    return y


def cast_to(e: Emitter, x: Value, dtype: np.dtype) -> Value:
    """Floats truncate to integers, integers wrap, bool is `x != 0`."""
    if dtype == x.dtype:
        return x
    element = element_for(dtype)
    if dtype == np.bool_:
        return _not_zero(e, x)
    if x.array is None and contains(element, x.element):
        return retyped(x, dtype)
    if x.is_float and container(dtype) != dtype:
        # The reference of ONNX wraps floats that leave 4 or 2 bits; other targets saturate, which ONNX leaves open.
        x = e.cast(x, element_for(INT32), INT32)
    if not x.is_float:
        return retyped(e.to_float(x), dtype) if dtype in FLOATS else e.wrapped(x, dtype)
    return e.cast(x, element, dtype)


def _not_zero(e: Emitter, x: Value) -> Value:
    """x != 0 as (x >= smallest positive) + 1 - (x >= 0); NaN counts as not zero."""
    one = np.nextafter(np.float32(0), np.float32(1)) if x.is_float else np.int64(1)
    zero = e.constant(np.zeros((1, 1), one.dtype), "zero")
    positive = e.op(ThresholdOp, x, e.constant(np.full((1, 1), one), "one"), axis=-1, base=0, step=1)
    not_positive = e.op(ThresholdOp, x, zero, axis=-1, base=1, step=-1)
    return e.cast(e.op(AddOp, positive, not_positive), element_for(np.dtype(np.bool_)), np.dtype(np.bool_))
