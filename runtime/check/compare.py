"""How far apart two tensors are: absolutely, relative to the tensor's largest magnitude, and in float32 steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Difference:
    """What separates `have` from `want`.

    absolute: largest |have - want| of finite pairs. relative: that over the largest |want|. where: index of the element
    that is furthest off. ulp: float32 values between have and want there (0 for integers). wrong, count: elements
    beyond the tolerance, and all elements. nonfinite: those of the wrong ones that are NaN or infinite on one side.
    ties: elements beyond the tolerance that are explained; they are not wrong. problem: why the tensors cannot be
    compared; empty when they can.
    """

    absolute: float = 0.0
    relative: float = 0.0
    ulp: int = 0
    wrong: int = 0
    count: int = 0
    nonfinite: int = 0
    ties: int = 0
    where: tuple[int, ...] = ()
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem and self.wrong == 0

    def explain(self, elements: int) -> Difference:
        """The same with so many of the wrong elements explained by ties."""
        return replace(self, wrong=self.wrong - elements, ties=self.ties + elements)

    @property
    def text(self) -> str:
        """One phrase for a report line."""
        if self.problem:
            return self.problem
        if self.absolute == 0 and self.wrong == 0 and self.ties == 0:
            return "identical"
        parts = [f"max abs {self.absolute:.3g}", f"rel {self.relative:.3g}"]
        parts += [f"{self.ulp} ulp"] if self.ulp else []
        parts += [f"{self.wrong} of {self.count} elements differ, worst at {list(self.where)}"] if self.wrong else []
        parts += [f"{self.nonfinite} of them NaN or infinite on one side only"] if self.nonfinite else []
        parts += [f"{self.ties} of {self.count} elements differ by ties"] if self.ties else []
        return ", ".join(parts)


def wrong_elements(have: np.ndarray, want: np.ndarray, rtol: float) -> np.ndarray:
    """Where two tensors of one shape differ: floats by more than rtol of the largest finite |want|, or NaN or infinity
    on one side only; everything else at all. bool, of their shape."""
    if "f" not in (have.dtype.kind, want.dtype.kind):
        return have != want
    gap, scale = _gap(have, want)
    return ~(gap <= rtol * scale)


def difference(have: np.ndarray, want: np.ndarray, rtol: float) -> Difference:
    """Compares two tensors: floats within rtol of the largest finite |want|, everything else exactly."""
    if have.shape != want.shape:
        return Difference(problem=f"shape: expected {list(want.shape)}, got {list(have.shape)}")
    if not want.size:
        return Difference()
    wrong = wrong_elements(have, want, rtol)
    gap, scale = _gap(have, want)
    finite = np.isfinite(gap)
    worst = float(gap.max(where=finite, initial=0.0))
    where = _index(gap)
    exact = "f" not in (have.dtype.kind, want.dtype.kind)
    return Difference(
        absolute=worst,
        relative=worst / scale if scale else (np.inf if worst else 0.0),
        ulp=0 if exact or not worst or not np.isfinite(gap[where]) else _ulp(have[where], want[where]),
        wrong=int(wrong.sum()),
        count=want.size,
        nonfinite=int((wrong & ~finite).sum()),
        where=where if worst or wrong.any() else (),
    )


def _gap(have: np.ndarray, want: np.ndarray) -> tuple[np.ndarray, float]:
    """|have - want| in float64, infinite where one of them alone is NaN or infinite; and the largest finite |want|."""
    a, b = have.astype(np.float64), want.astype(np.float64)
    same = (have == want) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b))
    gap = np.where(np.isnan(gap), np.inf, gap)
    return gap, float(np.max(np.abs(b), where=np.isfinite(b), initial=0.0))


def _index(gap: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(gap.argmax()), gap.shape))


def _ulp(have: np.generic, want: np.generic) -> int:
    """The number of float32 values between two numbers; -0 and +0 are one value."""

    def ordinal(number: np.generic) -> int:
        bits = int(np.float32(number).view(np.int32))
        return -(bits & 0x7FFFFFFF) if bits < 0 else bits

    return abs(ordinal(have) - ordinal(want))
