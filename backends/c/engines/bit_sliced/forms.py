"""How products become counts of bits: planes of activations, lists of weights, and what a count says of a sum.

A sum is scale * count + a number that depends on the filter and on which taps a pixel sees. A value of two kinds is
`low` + `scale` * its bit and has one plane. One of {-1, 0, 1} is -1 + two bits, which are alike unless it is 0: its two
planes mark 1 and 0, so that the adder of its two bits has half of its work done.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ...convolutions.problem import Problem
from ...engine import Constant
from ...lists import Lists

BLOCK, MAX_COUNTER = 16, 16
"""Planes that are added together; bits of a count, at most."""


@dataclass(frozen=True)
class Source:
    """Taps that lie in one phase of a map with strides.

    row, column: of the map in phases, where output pixel 0 sees the first of them. shifts: horizontal places, in pixels
    from there. taps: int [slots, windows], which filter tap (row by row) lies at each place of a window; -1 for none.
    """

    phase: tuple[int, int]
    row: int
    column: int
    shifts: tuple[int, ...]
    taps: np.ndarray


@dataclass(frozen=True)
class Span:
    """Output pixels [begin, end) along an axis, and which taps lie in the padding there: bool [kernel]."""

    begin: int
    end: int
    outside: tuple[bool, ...]


@dataclass(frozen=True)
class Form:
    """A problem as counts. bipolar: activations are -1 and 1."""

    problem: Problem
    bipolar: bool

    # -- activations

    @property
    def marks(self) -> tuple[str, ...]:
        if self.bipolar or self.problem.lo >= 0:
            return ("BIT_ROWS_PLUS",)
        return ("BIT_ROWS_NOT_MINUS",) if self.problem.hi <= 0 else ("BIT_ROWS_PLUS", "BIT_ROWS_ZERO")

    @property
    def low(self) -> int:
        return -1 if self.bipolar else self.problem.lo

    @property
    def scale(self) -> int:
        return 2 if self.bipolar else 1

    @property
    def planes(self) -> int:
        return len(self.marks)

    # -- where taps lie

    @cached_property
    def step(self) -> int:
        """Rows between the taps of a source."""
        return self.problem.dilations[0] // int(np.gcd(self.problem.dilations[0], self.problem.stride))

    @cached_property
    def slots(self) -> int:
        return max(len(source.taps) for source in self.sources)

    @cached_property
    def sources(self) -> list[Source]:
        s, (_, _, rows, columns) = self.problem.stride, self.problem.weights.shape
        steps, pads = self.problem.dilations, self.problem.pads
        places = [[k * steps[axis] - pads[axis] for k in range(size)] for axis, size in enumerate((rows, columns))]
        found = []
        for py, px in sorted({(y % s, x % s) for y in places[0] for x in places[1]}):
            ys = [k for k, place in enumerate(places[0]) if place % s == py]
            xs = [k for k, place in enumerate(places[1]) if place % s == px]
            taps = np.array([[y * columns + x for x in xs] for y in ys])
            row, column = places[0][ys[0]] // s, places[1][xs[0]] // s
            shifts = tuple(places[1][x] // s - column for x in xs)
            found.append(Source((py, px), row, column, shifts, taps))
        return found

    @cached_property
    def order(self) -> np.ndarray:
        """int [windows of a channel, slots]: the tap in each place, -1 for none."""
        filled = [np.pad(s.taps, ((0, self.slots - len(s.taps)), (0, 0)), constant_values=-1) for s in self.sources]
        return np.concatenate([taps.T for taps in filled])

    @property
    def windows(self) -> int:
        """Of all inputs of a filter."""
        return self.problem.weights.shape[1] * len(self.order)

    @property
    def longest_shift(self) -> int:
        return max(source.shifts[-1] for source in self.sources)

    def spans(self, axis: int) -> list[Span]:
        """Spans of the output pixels along an axis; one where padding is what its bits say."""
        problem, out = self.problem, self.problem.out[axis]
        size, kernel = problem.size[axis], problem.weights.shape[2 + axis]
        if not self.bipolar:
            return [Span(0, out, (False,) * kernel)]
        places = np.arange(out)[:, None] * problem.strides[axis] + np.arange(kernel) * problem.dilations[axis]
        places = places - problem.pads[axis]
        outside = (places < 0) | (places >= size)
        cuts = [0, *(np.flatnonzero((outside[1:] != outside[:-1]).any(axis=1)) + 1), out]
        return [Span(int(a), int(b), tuple(map(bool, outside[a]))) for a, b in pairwise(cuts)]

    # -- weights

    @cached_property
    def flat(self) -> np.ndarray:
        """int64 [O, inputs]."""
        return self.problem.weights.reshape(self.problem.outputs, -1).astype(np.int64)

    @property
    def doubled(self) -> bool:
        """Weights are -1 and 1: only the ones are listed, as sum(a * w) = 2 * sum(a where w is 1) - sum(a)."""
        return bool((self.flat != 0).all())

    @cached_property
    def listed(self) -> tuple[int, int]:
        """The most planes that a filter adds, and that one subtracts."""
        plus, minus = ((self.flat == w).sum(axis=1).max() * self.planes for w in (1, -1))
        return int(plus), 0 if self.doubled else int(minus)

    @property
    def whole(self) -> int:
        """Bits of the count of all inputs."""
        return (self.flat.shape[1] * self.planes).bit_length()

    @property
    def zero(self) -> int:
        """The count of a filter that adds nothing."""
        return 2**self.whole - 1 if self.doubled else self.listed[1]

    @property
    def counters(self) -> int:
        """Bits of a count; the largest number that they hold is no count, so that a threshold can be out of reach."""
        return (self.zero + self.listed[0] * (1 + self.doubled) + 1).bit_length()

    @property
    def signs(self) -> int:
        return 2 if self.listed[1] else 1

    def lists(self, window: int, step: int) -> Constant:
        """The lists of all filters. window, step: how far apart numbers of windows and slots are."""
        digits, filters = np.where(self.flat < 0, 0 if self.doubled else 2, self.flat), np.arange(len(self.flat))
        shaped = digits.reshape(*self.problem.weights.shape[:2], -1)
        places = self.order.reshape(-1)
        ordered = np.where(places >= 0, shaped[:, :, places], 0).astype(np.uint8)
        owners = np.where(places >= 0, filters[:, None, None], -1) + np.zeros_like(ordered, np.int64)
        form = Lists(self.windows * self.slots, self.slots, window, step, BLOCK // self.planes)
        return Constant(ordered, 2 if self.doubled else 3, filters=owners, lists=form)

    def bases(self) -> np.ndarray:
        """int64 [O, classes], classes of rows and columns row by row: what sums are where scale * count is 0."""
        weights = self.problem.weights.astype(np.int64).sum(axis=1)
        rows, columns = (np.array([span.outside for span in self.spans(axis)]) for axis in (0, 1))
        outside = (rows[:, None, :, None] | columns[None, :, None, :]).reshape(-1, 1, *weights.shape[1:])
        padding = (outside * weights).sum(axis=(2, 3)).T  # their bits say -1
        return self.flat.sum(axis=1)[:, None] * self.low - self.scale * self.zero - self.low * padding
