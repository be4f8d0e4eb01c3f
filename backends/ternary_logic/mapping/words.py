"""Whole numbers on wires: the digits of one number, and sums that are not added up yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..functions import BINARY, Digits
from ..netlist import Nets


def places(digits: Digits, low: int, high: int) -> int:
    """How many digits hold all numbers from low to high: balanced, or of two's complement where some are negative."""
    count = 0
    while not _holds(digits, count, low, high):
        count += 1
    return count


def _holds(digits: Digits, count: int, low: int, high: int) -> bool:
    if digits == BINARY and low < 0:
        return count > 0 and -(2 ** (count - 1)) <= low and high < 2 ** (count - 1)
    reach = (digits.radix**count - 1) // (digits.radix - 1)
    return digits.low * reach <= low and high <= digits.values[-1] * reach


@dataclass(frozen=True)
class Word:
    """Numbers from low to high, as many as the wires' shape says: two's complement where they are binary and low < 0.

    nets: [places, *shape], the digit of the lowest place first.
    """

    nets: Nets
    low: int
    high: int

    def decode(self, digits: Digits, values: NDArray[np.int8]) -> NDArray[np.int64]:
        """The numbers [*shape, ..] of the wires' digits [places, *shape, ..]."""
        weights = [digits.radix**place for place in range(len(self.nets))]
        if digits == BINARY and self.low < 0:
            weights[-1] *= -1
        return np.tensordot(np.array(weights, np.int64), values.astype(np.int64), 1)


@dataclass(frozen=True)
class Terms:
    """A sum that is not added up: of the wires' digits, each times radix ** place, and an offset.

    columns: by place, wires [terms, *shape]. low, high: of the whole sum; it is known to lie between them, so that what
    a carry out of the last place would be does not matter.
    """

    columns: Sequence[Nets]
    offset: int
    low: int
    high: int

    @classmethod
    def join(cls, parts: Sequence[Terms]) -> Terms:
        """The sum of sums. Raises ValueError without any."""
        if not parts:
            raise ValueError("nothing to add")
        depth = max(len(part.columns) for part in parts)
        columns = [
            np.concatenate([part.columns[place] for part in parts if place < len(part.columns)])
            for place in range(depth)
        ]
        return cls(
            columns, sum(p.offset for p in parts), sum(p.low for p in parts), sum(p.high for p in parts)
        )  # fmt: skip
