"""Element-by-element arithmetic. Every float step is a float32 step, because thresholds are derived by running it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.tn import elementwise as tn
from ...ir.types import INT64_MAX, INT64_MIN, element_of, is_float, range_of
from .meaning import meaning

f32 = np.float32


@meaning(tn.AddOp)
def add(op: tn.AddOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.add(a, b)


@meaning(tn.SubOp)
def sub(op: tn.SubOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.subtract(a, b)


@meaning(tn.MulOp)
def mul(op: tn.MulOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.multiply(a, b)


@meaning(tn.DivOp)
def div(op: tn.DivOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Floats: IEEE division. Integers: towards zero, and 0 where b is 0."""
    if is_float(op.y):
        return np.divide(a, b)
    divisor = np.where(b == 0, 1, b)
    quotient = a // divisor
    remainder = a - quotient * divisor
    # numpy rounds down; an inexact quotient of operands with different signs is one too low.
    return np.where(b == 0, 0, quotient + ((remainder != 0) & ((a < 0) != (divisor < 0))))


@meaning(tn.MaxOp)
def maximum(op: tn.MaxOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a, b)


@meaning(tn.MinOp)
def minimum(op: tn.MinOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.minimum(a, b)


@meaning(tn.PReluOp)
def prelu(op: tn.PReluOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(a >= 0, a, a * b)


@meaning(tn.ReluOp)
def relu(op: tn.ReluOp, x: np.ndarray) -> np.ndarray:
    return np.maximum(x, x.dtype.type(0))


@meaning(tn.AbsOp)
def absolute(op: tn.AbsOp, x: np.ndarray) -> np.ndarray:
    return np.abs(x)


@meaning(tn.LeakyReluOp)
def leaky_relu(op: tn.LeakyReluOp, x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, f32(op.get("alpha")) * x)


@meaning(tn.SigmoidOp)
def sigmoid(op: tn.SigmoidOp, x: np.ndarray) -> np.ndarray:
    return f32(1) / (f32(1) + np.exp(-x))


@meaning(tn.HardSigmoidOp)
def hard_sigmoid(op: tn.HardSigmoidOp, x: np.ndarray) -> np.ndarray:
    return np.maximum(f32(0), np.minimum(f32(1), f32(op.get("alpha")) * x + f32(op.get("beta"))))


@meaning(tn.HardSwishOp)
def hard_swish(op: tn.HardSwishOp, x: np.ndarray) -> np.ndarray:
    return x * np.maximum(f32(0), np.minimum(f32(1), x / f32(6) + f32(0.5)))


@meaning(tn.TanhOp)
def tanh(op: tn.TanhOp, x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


def _half(up: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Rounding to nearest, ties away from (up) or towards zero. |x| + 0.5 would itself round, so it is not used."""

    def rounding(x: np.ndarray) -> np.ndarray:
        size = np.abs(x)
        whole = np.trunc(size)
        fraction = size - whole
        return np.copysign(whole + (fraction >= f32(0.5) if up else fraction > f32(0.5)).astype(f32), x)

    return rounding


ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round": np.rint,
    "ceil": np.ceil,
    "floor": np.floor,
    "up": lambda x: np.copysign(np.ceil(np.abs(x)), x),
    "down": np.trunc,
    "half_up": _half(up=True),
    "half_down": _half(up=False),
}
"""Float32 to whole float32, for every mode of `ROUNDING_MODES`; NaN and infinities stay."""


@meaning(tn.RoundOp)
def round_(op: tn.RoundOp, x: np.ndarray) -> np.ndarray:
    return ROUNDINGS[op.get("mode")](x)


@meaning(tn.ClipOp)
def clip(op: tn.ClipOp, x: np.ndarray) -> np.ndarray:
    lo, hi = op.get("lo"), op.get("hi")
    if not is_float(op.x):
        lo, hi = (np.int64(min(max(v, INT64_MIN), INT64_MAX)) for v in (_whole(lo), _whole(hi)))
        return np.minimum(np.maximum(x, lo), hi)
    return np.minimum(np.maximum(x, f32(lo)), f32(hi))


def _whole(value: float) -> int:
    return (INT64_MAX if value > 0 else INT64_MIN) if np.isinf(value) else int(value)


def saturate(x: np.ndarray, lo: int, hi: int) -> np.ndarray:
    """Whole floats as int64, clipped to lo..hi; NaN counts as 0."""
    # float64 holds every whole float32; 2^63 is the first that int64 does not.
    wide = np.nan_to_num(np.asarray(x, np.float64), nan=0.0, posinf=2.0**63, neginf=-(2.0**63))
    inside = np.clip(wide, -(2.0**63), 2.0**63 - 1024).astype(np.int64)
    return np.clip(np.where(wide >= 2.0**63, INT64_MAX, inside), lo, hi)


@meaning(tn.CastOp)
def cast(op: tn.CastOp, x: np.ndarray) -> np.ndarray:
    """int -> float to nearest; float -> int truncates and saturates (NaN: 0); int -> int wraps."""
    if is_float(op.y):
        return x.astype(f32)
    lo, hi = range_of(element_of(op.y))
    if is_float(op.x):
        return saturate(np.trunc(x), lo, hi)
    size = hi - lo + 1
    if size > INT64_MAX or not x.size or (lo <= x.min() and x.max() <= hi):
        return x
    # In two steps, so that x - lo cannot leave 64 bits.
    return (x % size - lo % size) % size + lo


@meaning(tn.SoftmaxOp)
def softmax(op: tn.SoftmaxOp, x: np.ndarray) -> np.ndarray:
    if x.ndim == 0:
        return np.ones_like(x)
    if x.size == 0:
        return x
    axis = op.get("axis")
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True, dtype=x.dtype)
