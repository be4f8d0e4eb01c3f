"""How far apart two tensors are: absolutely, relative to the tensor's largest magnitude, and in float32 steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_MOVED = 1e-4
"""The share of a quantized tensor that may be one step off."""


@dataclass(frozen=True)
class Difference:
    """What separates `have` from `want`.

    absolute: largest |have - want|. relative: that over the largest |want|. where: index of the element that is so far
    off. ulp: float32 values between have and want there (0 for integers). wrong, count: elements beyond the tolerance,
    and all elements. moved: elements one quantization step off, few enough to be rounding ties; they are not wrong.
    problem: why the tensors cannot be compared; empty when they can.
    """

    absolute: float = 0.0
    relative: float = 0.0
    ulp: int = 0
    wrong: int = 0
    count: int = 0
    moved: int = 0
    where: tuple[int, ...] = ()
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem and self.wrong == 0

    @property
    def text(self) -> str:
        """One phrase for a report line."""
        if self.problem:
            return self.problem
        if self.absolute == 0 and self.wrong == 0:
            return "identical"
        parts = [f"max abs {self.absolute:.3g}", f"rel {self.relative:.3g}"]
        parts += [f"{self.ulp} ulp"] if self.ulp else []
        parts += [f"{self.wrong} of {self.count} elements differ, worst at {list(self.where)}"] if self.wrong else []
        parts += [f"{self.moved} of {self.count} elements one quantization step off"] if self.moved else []
        return ", ".join(parts)


def difference(have: np.ndarray, want: np.ndarray, rtol: float, step: float = 0.0) -> Difference:
    """Compares two tensors: floats within rtol of the largest finite |want|, everything else exactly.

    step: the distance of neighbouring values of a quantized tensor, 0 for others. Where float32 sums in another order
    meet the edge of a quantizer, single values land one step away: up to MOST_MOVED of all elements may.
    """
    if have.shape != want.shape:
        return Difference(problem=f"shape: want {list(want.shape)}, have {list(have.shape)}")
    if not want.size:
        return Difference()
    if "f" not in (have.dtype.kind, want.dtype.kind):
        return _integers(have, want)
    a, b = have.astype(np.float64), want.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b))
    gap = np.where(np.isnan(gap), np.inf, gap)  # a NaN or an infinity on one side only
    scale = float(np.max(np.abs(b), where=np.isfinite(b), initial=0.0))
    wrong = ~(same | (gap <= rtol * scale))
    moved = wrong & (gap <= 1.001 * step)
    if moved.mean() <= MOST_MOVED:
        wrong &= ~moved
    else:
        moved[...] = False
    worst = float(gap.max())
    relative = worst / scale if scale else (np.inf if worst else 0.0)
    where = _index(gap)
    steps = _ulp(have[where], want[where]) if worst and np.isfinite(worst) else 0
    return Difference(worst, relative, steps, int(wrong.sum()), want.size, int(moved.sum()), where)


def _integers(have: np.ndarray, want: np.ndarray) -> Difference:
    wrong = have != want
    if not wrong.any():
        return Difference(count=want.size)
    gap = np.abs(have.astype(np.float64) - want.astype(np.float64))
    scale = float(np.abs(want.astype(np.float64)).max())
    worst = float(gap.max())
    return Difference(worst, worst / scale if scale else np.inf, 0, int(wrong.sum()), want.size, 0, _index(gap))


def _index(gap: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(gap.argmax()), gap.shape))


def _ulp(have: np.generic, want: np.generic) -> int:
    """The number of float32 values between two numbers; -0 and +0 are one value."""

    def ordinal(number: np.generic) -> int:
        bits = int(np.float32(number).view(np.int32))
        return -(bits & 0x7FFFFFFF) if bits < 0 else bits

    return abs(ordinal(have) - ordinal(want))
