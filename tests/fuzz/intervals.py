"""Intervals of float64 numbers around what float32 arithmetic may give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

ROUNDING = 2.0**-24
STEPS = 4
"""So many float32 roundings an operation may stand for: passes fold neighbouring factors into one."""
Array: TypeAlias = np.ndarray


@dataclass(frozen=True)
class Interval:
    """Elementwise lo <= value <= hi, float64."""

    lo: Array
    hi: Array

    @classmethod
    def of(cls, *corners: Array) -> Interval:
        """The smallest one around all corners; everything where one of them is NaN."""
        stack = np.stack(np.broadcast_arrays(*corners))
        unknown = np.isnan(stack).any(axis=0)
        return cls(np.where(unknown, -np.inf, stack.min(axis=0)), np.where(unknown, np.inf, stack.max(axis=0)))

    @property
    def points(self) -> bool:
        return bool(np.all(self.lo == self.hi))

    @property
    def straddles(self) -> Array:
        return (self.lo < 0) & (self.hi > 0)

    def map(self, function: Callable[[Array], Array]) -> Interval:
        """Under a monotone function."""
        return Interval.of(function(self.lo), function(self.hi))

    def around(self, extra: Array, where: Array) -> Interval:
        """With a further value, where it can be taken."""
        return Interval(
            np.where(where, np.minimum(self.lo, extra), self.lo), np.where(where, np.maximum(self.hi, extra), self.hi)
        )


def rounded(y: Interval, error: Array | float | None = None) -> Interval:
    """y after float32 rounding. error: how much; None: a few roundings, none where y is exact in float32."""
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(y.lo), np.abs(y.hi))
        if error is None:
            exact = (y.lo == y.hi) & (y.lo == np.float32(y.lo))
            error = np.where(exact, 0.0, STEPS * ROUNDING * size + 1e-45)
        lo, hi = y.lo - error, y.hi + error
        lo, hi = (np.where(np.abs(v) > np.finfo(np.float32).max, np.copysign(np.inf, v), v) for v in (lo, hi))
    return Interval(np.where(np.isnan(lo), -np.inf, lo), np.where(np.isnan(hi), np.inf, hi))


def grid(array: Array) -> float:
    """The largest power of two of which all elements are multiples."""
    mantissa, exponent = np.frexp(array[array != 0])
    if not mantissa.size:
        return 1.0
    whole = (np.abs(mantissa) * 2.0**53).astype(np.int64)
    lowest = (whole & -whole).astype(np.float64)
    return float(np.min(np.ldexp(lowest, exponent - 53)))
