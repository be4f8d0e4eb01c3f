"""Elements that differ because float32 rounding crosses a boundary, and how they are told from wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.ir import Operation

from ....backends.reference.bounds import Bounds, is_boundary
from ....ir.locations import describe
from ....ir.tn.quant import QuantizeOp

MOST_NAMED = 3
"""So many ties are described; the others are counted."""

MOST_SEEN = 1000


@dataclass
class Ties:
    """count: how many; named: the first few in words. open: possible ones that no result of a step decides."""

    count: int = 0
    named: list[str] = field(default_factory=list)
    open: int = 0
    _seen: dict[tuple[int, int], str] = field(default_factory=dict)

    def possible(self, op: Operation, operands: Sequence[Bounds], y: Bounds) -> None:
        """Counts the possible ties of an operation that makes levels, to be decided or not by what comes later."""
        at = np.flatnonzero(y.uncertain)
        self.open += len(at)
        for i in at[: MOST_SEEN - len(self._seen)]:
            self._seen[y.own.size, int(i)] = _describe(op, operands, y, int(i))

    def decided(self, op: Operation, y: Bounds, values: np.ndarray, moved: np.ndarray) -> None:
        """Counts the elements `moved`, for which somebody else decided otherwise than the interpreter."""
        at = np.flatnonzero(moved)
        self.count += len(at)
        for i in at[: max(0, MOST_NAMED - len(self.named))]:
            text = self._seen.get((y.own.size, int(i))) or f"{describe(op)} {_index(y, int(i))}"
            self.named.append(f"{text}: {_number(values.flat[i])} instead of {_number(y.own.flat[i])}")


def _describe(op: Operation, operands: Sequence[Bounds], y: Bounds, i: int) -> str:
    text, x = f"{describe(op)} {_index(y, i)}", operands[0]
    if not isinstance(op, QuantizeOp) or x.own.shape != y.own.shape:
        return text
    scale = float(np.broadcast_to(operands[1].lo, y.own.shape).flat[i])
    low, high = float(x.lo.flat[i]) / scale, float(x.hi.flat[i]) / scale
    own = np.float32(x.own.flat[i]) / np.float32(scale)
    return (
        f"{text}, exact x / scale = {(low + high) / 2:.10g}, within {abs(high - low) / 2:.1g} in float32, "
        f"which gives {own:.10g}"
    )


def _index(y: Bounds, i: int) -> list[int]:
    return [int(k) for k in np.unravel_index(i, y.own.shape)]


def _number(value: np.generic | np.ndarray) -> str:
    return f"{float(value):.9g}"


def inside(have: np.ndarray, bounds: Bounds, slack: float) -> np.ndarray:
    """Where a tensor is a value that float32 arithmetic may give: within the bounds, or within slack of them or of the
    interpreter's own value; NaN where that is NaN. bool, of its shape."""
    wide = have.astype(np.float64) if bounds.own.dtype.kind == "f" else have
    with np.errstate(invalid="ignore"):
        within = (bounds.lo - slack <= wide) & (wide <= bounds.hi + slack)
    both_nan = np.isnan(wide) & np.isnan(bounds.own) if wide.dtype.kind == "f" else np.zeros(wide.shape, bool)
    return within | (have == bounds.own) | both_nan


def slack_of(bounds: Bounds, rtol: float) -> float:
    """rtol of the largest finite magnitude for floats, nothing for integers."""
    own = bounds.own
    return rtol * float(np.abs(own).max(where=np.isfinite(own), initial=0.0)) if own.dtype.kind == "f" else 0.0


def collector(ties: Ties) -> Callable[[Operation, Sequence[Bounds], list[Bounds]], list[Bounds]]:
    """Counts the possible ties of a region, whose inner values nobody sees."""

    def decide(op: Operation, operands: Sequence[Bounds], results: list[Bounds]) -> list[Bounds]:
        if is_boundary(op):
            for y in results:
                ties.possible(op, operands, y)
        return results

    return decide
