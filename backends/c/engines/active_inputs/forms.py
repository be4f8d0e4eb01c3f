"""How sums become counts of listed weights: what is added for an input, and what a count says of a sum.

An input that is 1 (of two values: the larger one) adds its weights to the counts of all outputs, one that is -1
subtracts them. Weights count as w + 1 (TERNARY), [w > 0] (BINARY) or |w| (SIGNED: no filter has both signs). With v,
ones less minus ones of the inputs that a pixel sees, the count u that is left is

    TERNARY   sum(a * w)               counts start at -v
    BINARY    sum(a * w) / 2, rounded down; the rest is 1 where v is odd; they start at -v / 2, rounded down
    SIGNED    sum(a * |w|)             they start at 0

A sum is base + factor * u, and `odd` more where v is odd.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .....ir.types import values_of
from ...bit_products.fields import level_bits
from ...bit_products.problem import Levels, Problem, read_problem
from ...engine import Constant, Kernel
from ...refusal import Refused

STARTS = {"TERNARY": "WHOLE", "BINARY": "HALF", "SIGNED": "ZERO"}
"""Of enum active_starts."""
FEWEST_COUNTERS = 6


@dataclass(frozen=True)
class Form:
    """A problem as counts. weights: TERNARY, BINARY or SIGNED."""

    problem: Problem
    weights: str

    @classmethod
    def of(cls, problem: Problem) -> Form:
        flat = problem.weights.reshape(problem.outputs, -1)
        if (flat != 0).all():
            return cls(problem, "BINARY")
        both = (flat > 0).any(1) & (flat < 0).any(1)
        return cls(problem, "TERNARY" if both.any() else "SIGNED")

    @property
    def planes(self) -> int:
        """Bits of a weight."""
        return 2 if self.weights == "TERNARY" else 1

    @cached_property
    def flat(self) -> np.ndarray:
        """int8 [outputs, channels, kernel height, kernel width]."""
        return self.problem.weights[0]

    @property
    def scale(self) -> int:
        values = values_of(self.problem.element)
        return values[-1] - values[0] if self.problem.planes == 1 else 1

    @property
    def odd(self) -> int:
        return self.scale if self.weights == "BINARY" else 0

    def factors(self) -> np.ndarray:
        """int64 [outputs]."""
        if self.weights == "SIGNED":
            return np.where((self.flat < 0).any(axis=(1, 2, 3)), -self.scale, self.scale)
        return np.full(len(self.flat), self.scale * (2 if self.weights == "BINARY" else 1))

    @property
    def classes(self) -> bool:
        """Whether bases depend on the filter taps that a pixel sees."""
        several = len(self.problem.spans(0)) * len(self.problem.spans(1)) > 1
        return several and self.problem.planes == 1 and values_of(self.problem.element)[0] != 0

    def bases(self) -> np.ndarray:
        """int64 [classes, outputs], classes row by row: what inputs of the smaller of two values sum up to."""
        if not self.classes and (self.problem.planes == 2 or values_of(self.problem.element)[0] == 0):
            return np.zeros((1, len(self.flat)), np.int64)
        taps = self.flat.astype(np.int64).sum(axis=1) * values_of(self.problem.element)[0]
        return self.problem.seen(taps)

    @cached_property
    def counters(self) -> int:
        """Bits of a count: all counts fit, and one more that no count reaches."""
        flat = self.flat.reshape(len(self.flat), -1)
        plus, minus = int((flat > 0).sum(1).max()), int((flat < 0).sum(1).max())
        both = int((flat != 0).sum(1).max())
        low, high = (both, both) if self.problem.planes == 2 or self.weights == "SIGNED" else (minus, plus)
        if self.weights == "BINARY":
            low, high = low // 2 + 1, high // 2 + 1
        return max(FEWEST_COUNTERS, low.bit_length() + 1, (high + 1).bit_length() + 1)

    def digits(self) -> np.ndarray:
        """uint8, as `flat`. Of TERNARY: 0, and 1 for -1, 2 for 1."""
        match self.weights:
            case "TERNARY":
                return np.where(self.flat < 0, 1, 2 * self.flat).astype(np.uint8)
            case "BINARY":
                return (self.flat > 0).astype(np.uint8)
        return (self.flat != 0).astype(np.uint8)

    def packed(self, lanes: int, words: int) -> Constant:
        """The weights in reading order: block of `lanes` outputs, chunk of 64 * `words` channels, filter tap, channel
        (and one of no weights), plane, output."""
        outputs, channels = self.flat.shape[:2]
        blocks = -(-outputs // lanes)

        def ordered(array: np.ndarray, fill: bool | int) -> np.ndarray:
            padded = np.pad(
                array.reshape(outputs, channels, -1), [(0, blocks * lanes - outputs), (0, 0), (0, 0)],
                constant_values=fill,
            )  # fmt: skip
            shaped = padded.reshape(blocks, lanes, channels, -1).transpose(0, 3, 2, 1)
            chunks = [shaped[:, :, c : c + 64 * words] for c in range(0, channels, 64 * words)]
            ended = [np.pad(c, [(0, 0), (0, 0), (0, 1), (0, 0)], constant_values=fill) for c in chunks]
            return np.concatenate([c.reshape(blocks, -1) for c in ended], axis=1).reshape(-1)

        filled = ordered(np.zeros(self.flat.shape, np.bool_), fill=True)
        digits = ordered(self.digits(), fill=int(self.weights == "TERNARY"))
        if self.planes == 1:
            return Constant(digits, 2, 8, filled=filled)
        return Constant(digits, 4, 4, filled=filled, split=lanes // 64)

    # -- thresholds -----------------------------------------------------------------------------------------------

    def limits(self, levels: Levels) -> np.ndarray:
        """int64 [classes, 1 or 2 (v even, v odd), outputs, choices, thresholds]: the smallest counts that pass; where
        the factor is negative, the smallest that do not."""
        odds = np.array([0, self.odd])[: 2 if self.weights == "BINARY" else 1]
        reach = self.bases()[:, None] + odds[None, :, None] + self.problem.bias
        factors = self.factors()[:, None, None]
        room = reach[..., None, None] - levels.thresholds  # passed where room + factor * u >= 0
        edge = 1 << (self.counters - 1)
        size = np.maximum(np.abs(factors), 1)
        found = np.where(factors < 0, room // size + 1, -(room // size))
        found = np.where(factors == 0, np.where(room >= 0, -edge, edge - 1), found)
        return np.clip(found, -edge, edge - 1)

    def codes(self, levels: Levels) -> np.ndarray:
        """bool [planes, outputs, thresholds + 1]: where a level's bits change, as active_levels reads them."""
        bits = level_bits(levels)
        codes = bits ^ np.pad(bits, [(0, 0), (0, 0), (1, 0)])[..., :-1]
        turned = self.factors() < 0  # passes what the comparison says does not
        codes[..., 0] ^= np.logical_xor.reduce(codes[..., 1:], axis=-1) & turned
        return codes


def read_form(kernel: Kernel) -> Form:
    """Raises Refused with the reason where a kernel has none."""
    problem = read_problem(kernel)
    if problem.groups > 1:
        raise Refused("a convolution in groups: too few outputs share an input")
    return Form.of(problem)
