"""Comparisons, logic, choices and signs. Truth values are integers 0:1, and NaN compares false.

A comparison with a constant becomes tn.threshold, and a choice between two constants a threshold of that: so binary and
ternary activations that are written with them end as integer thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir.tn.elementwise import AddOp, MulOp
from ...ir.tn.logic import CompareOp, SelectOp
from ...ir.tn.quant import DequantizeOp, ThresholdOp
from ...ir.types import INT64_MAX
from ..emitter import Emitter
from ..values import BOOL, INT32, Value, element_for

_SMALLEST = np.nextafter(np.float32(0), np.float32(1))
_EXACT = 2**24
"""Whole numbers up to here are exact in float32."""


# -- comparisons ------------------------------------------------------------------------------------------------------


def _table(x: Value, constant: np.ndarray) -> tuple[np.ndarray, int] | None:
    """A constant as a threshold table [C or 1, 1] and its axis; None where it varies along more than one axis of x."""
    extra = constant.ndim - x.rank
    if extra > 0 and constant.shape[:extra] != (1,) * extra:
        return None
    shape = (1,) * -extra + constant.shape if extra < 0 else constant.shape[extra:]
    varying = [axis for axis, size in enumerate(shape) if size != 1]
    if len(varying) > 1 or any(shape[axis] != x.shape[axis] for axis in varying) or (extra > 0 and x.rank == 0):
        return None
    return constant.reshape(-1, 1), varying[0] if varying else -1


def _passes(e: Emitter, x: Value, bound: np.ndarray, *, above: bool, falling: bool = False) -> Value | None:
    """x >= bound as a truth value, or x > bound where `above`; falling: its opposite. None for what is no threshold."""
    if above and x.is_float:
        if np.isinf(bound).any():
            return None
        bound = np.nextafter(bound, np.float32(np.inf), dtype=np.float32)
    elif above:
        if (bound == INT64_MAX).any():
            return None
        bound = bound + 1
    found = _table(x, bound)
    if found is None:
        return None
    base, step = (1, -1) if falling else (0, 1)
    table = e.constant(found[0], "thresholds")
    return e.op(ThresholdOp, x, table, dtype=BOOL, axis=found[1], base=base, step=step)


def _as_bound(value: Value) -> np.ndarray | None:
    if value.array is None:
        return None
    return value.array.astype(np.float32 if value.is_float else np.int64)


def at_least(e: Emitter, a: Value, b: Value, *, above: bool) -> Value:
    """a >= b, or a > b where `above`; of one dtype."""
    first, second = _as_bound(a), _as_bound(b)
    found = None
    if second is not None and first is None:
        found = _passes(e, a, second, above=above)
    elif first is not None and second is None and b.is_float:
        # b <= a as -b >= -a: the opposite of a threshold would be true for NaN.
        found = _passes(e, e.op(MulOp, b, e.constant(-1.0, "minus")), -first, above=above)
    elif first is not None and second is None:
        found = _passes(e, b, first, above=not above, falling=True)
    if found is not None and found.shape == _broadcast(e, a, b):
        return found
    return e.op(CompareOp, a, b, dtype=BOOL, relation="gt" if above else "ge")


def equal(e: Emitter, a: Value, b: Value) -> Value:
    """With a constant c: (a >= c) + 1 - (a > c) - 1, two thresholds. Operands have one dtype."""
    same_dtype(e, a, b)
    x, bound = (b, _as_bound(a)) if a.is_constant else (a, _as_bound(b))
    if bound is not None and not x.is_constant:
        reached = _passes(e, x, bound, above=False)
        passed = None if reached is None else _passes(e, x, bound, above=True)
        if reached is not None and passed is not None and reached.shape == _broadcast(e, a, b):
            minus = _levels(e, passed, 0, -1, INT32)
            return e.cast(e.op(AddOp, reached, minus, dtype=INT32), element_for(BOOL), BOOL)
    return e.op(CompareOp, a, b, dtype=BOOL, relation="eq")


def _broadcast(e: Emitter, *values: Value) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        raise e.node.error(f"the shapes {', '.join(str(list(v.shape)) for v in values)} do not broadcast") from None


def same_dtype(e: Emitter, *values: Value) -> None:
    if len({v.dtype for v in values}) > 1:
        raise e.node.error(f"operands have the dtypes {' and '.join(v.dtype.name for v in values)}")


# -- logic ------------------------------------------------------------------------------------------------------------


def _levels(e: Emitter, condition: Value, no: int, step: int, dtype: np.dtype) -> Value:
    """The integer no + step where a truth value is 1, `no` where it is 0."""
    one = e.constant(np.ones((1, 1), np.int64), "one")
    return e.op(ThresholdOp, condition, one, dtype=dtype, axis=-1, base=no, step=step)


def truth(e: Emitter, *values: Value) -> None:
    for value in values:
        if value.dtype != BOOL:
            raise e.node.error(f"expected bool operands, got {value.dtype.name}")


def negation(e: Emitter, x: Value) -> Value:
    truth(e, x)
    return _levels(e, x, 1, -1, BOOL)


def either(e: Emitter, a: Value, b: Value) -> Value:
    """True where exactly one of two truth values is."""
    truth(e, a, b)
    return _levels(e, e.op(CompareOp, a, b, relation="eq"), 1, -1, BOOL)


# -- choices ----------------------------------------------------------------------------------------------------------


def _two_levels(yes: np.ndarray, no: np.ndarray) -> tuple[int, int, np.ndarray] | None:
    """(base, step, scale) with no = base * scale and yes = (base + step) * scale exactly, in float32."""
    if yes.size == no.size == 1:
        p, n = float(yes.reshape(())), float(no.reshape(()))
        if p != n and p == int(p) and n == int(n) and max(abs(p), abs(n)) <= _EXACT:
            return int(n), int(p - n), np.ones((), np.float32)
    base, step, scale = 0, 0, yes
    if not no.any():
        base, step = 0, 1
    elif not yes.any():
        base, step, scale = 1, -1, no
    elif yes.shape == no.shape and np.array_equal(yes, -no):
        base, step = -1, 2
    if not step or (scale.size and not scale.all()):
        return None
    if (scale < 0).all():
        base, step, scale = -base, -step, -scale
    return base, step, scale.reshape(()) if scale.size == 1 else scale


def choice(e: Emitter, condition: Value, yes: Value, no: Value) -> Value:
    """Between two constants: integer levels, with a scale where they are floats."""
    truth(e, condition)
    same_dtype(e, yes, no)
    shape = _broadcast(e, condition, yes, no)
    if yes.array is not None and no.array is not None and not condition.is_constant:
        result = _chosen(e, condition, yes, no)
        if result is not None and result.shape == shape:
            return result
    return e.op(SelectOp, condition, yes, no, dtype=yes.dtype)


def _chosen(e: Emitter, condition: Value, yes: Value, no: Value) -> Value | None:
    assert yes.array is not None and no.array is not None
    if not yes.is_float:
        if not yes.array.size == no.array.size == 1:
            return None
        p, n = int(yes.array.reshape(())), int(no.array.reshape(()))
        return _levels(e, condition, n, p - n, yes.dtype) if p != n and abs(p - n) <= INT64_MAX else None
    if not (np.isfinite(yes.array).all() and np.isfinite(no.array).all()):
        return None
    found = _two_levels(yes.array.astype(np.float32), no.array.astype(np.float32))
    if found is None:
        return None
    base, step, scale = found
    q = condition if (base, step) == (0, 1) else _levels(e, condition, base, step, INT32)
    return e.op(DequantizeOp, q, e.constant(scale, "scale"), dtype=yes.dtype)


def sign(e: Emitter, x: Value) -> Value:
    """-1, 0 or 1. NaN gives -1 (onnxruntime: NaN), as no ternary value stands for it."""
    edges: Sequence[float | int] = (0.0, _SMALLEST) if x.is_float else (0, 1)
    table = np.array([edges], np.float32 if x.is_float else np.int64)
    dtype = INT32 if x.is_float else x.dtype
    q = e.op(ThresholdOp, x, e.constant(table, "thresholds"), dtype=dtype, axis=-1, base=-1, step=1)
    return e.op(DequantizeOp, q, e.constant(1.0, "one"), dtype=x.dtype) if x.is_float else q
