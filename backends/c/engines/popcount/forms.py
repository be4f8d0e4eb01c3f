"""How products become counts of bits: what is counted, the weights' bits, and what a count says of a sum.

A sum is base - scale * u. u is what popcount_tile.h counts: of bits that differ (XOR, MASKED), or twice the negative
products less all products that are not zero (SIGNS, TERNARY).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .....ir.types import values_of
from ...bit_products.problem import Problem
from ...engine import Constant


@dataclass(frozen=True)
class Form:
    """A problem as counts.

    product: of enum popcount_product. planes: bits of a weight as the kernel reads it. operations: vector operations
    of a step, a count of ones counted as none. counts: of them.
    """

    problem: Problem
    product: str
    planes: int
    operations: int
    counts: int

    @classmethod
    def of(cls, problem: Problem) -> Form:
        weights = problem.weights.reshape(-1, *problem.weights.shape[2:])
        flat = weights.reshape(len(weights), -1)
        if problem.planes == 1:
            return cls(problem, *(("XOR", 1, 2, 1) if (flat != 0).all() else ("MASKED", 2, 2, 1)))
        signed = ~((flat > 0).any(1) & (flat < 0).any(1))
        if (flat != 0).all() or signed.all():
            return cls(problem, "SIGNS", 1, 2, 1)
        return cls(problem, "TERNARY", 2, 4, 2)

    @cached_property
    def flat(self) -> np.ndarray:
        """int8 [outputs of all groups, channels, kernel height, kernel width]."""
        return self.problem.weights.reshape(-1, *self.problem.weights.shape[2:])

    @property
    def inputs(self) -> str:
        """What SIGNS need of the inputs of a pixel: of enum popcount_inputs."""
        return "NONZERO" if (self.flat != 0).all() else "PLUS"

    @property
    def negative(self) -> np.ndarray:
        """bool [outputs]: whose weights are 0 and -1."""
        return np.asarray((self.flat < 0).any(axis=(1, 2, 3)) & (self.inputs == "PLUS"))

    @property
    def scale(self) -> int:
        values = values_of(self.problem.element)
        return values[-1] - values[0] if self.problem.planes == 1 else 1

    @property
    def classes(self) -> bool:
        """Whether bases depend on the filter taps that a pixel sees."""
        return self.problem.planes == 1 and len(self.problem.spans(0)) * len(self.problem.spans(1)) > 1

    def bases(self) -> np.ndarray:
        """int64 [classes, outputs], classes row by row: what a sum is where u is 0, without bias."""
        if self.problem.planes == 2:
            return np.zeros((1, len(self.flat)), np.int64)
        low = values_of(self.problem.element)[0]
        taps = self.flat.astype(np.int64).sum(axis=1) * low + (self.flat > 0).sum(axis=1) * self.scale
        return self.problem.seen(taps)

    def digits(self) -> np.ndarray:
        """uint8, as `flat`: one bit of a weight, or for two of them 0, 1, 2."""
        w = self.flat
        match self.product:
            case "XOR":
                return (w > 0).astype(np.uint8)
            case "MASKED":
                return np.where(w > 0, 2, w & 1).astype(np.uint8)
            case "TERNARY":
                return np.where(w < 0, 2, w & 1).astype(np.uint8)
        turned = ~self.negative[:, None, None, None] & (self.inputs == "PLUS")
        return np.where(turned, w == 0, w < 0).astype(np.uint8)

    @property
    def largest(self) -> int:
        """No count u, or -u, is larger."""
        return 2 * self.flat[0].size

    def packed(self, order: np.ndarray) -> Constant:
        """The weights in reading order: group, block of outputs, filter tap, word, plane, output, channel. order: int
        [outputs of a block], the output in each lane."""
        p = self.problem
        lanes = len(order)
        blocks = -(-p.outputs // lanes)

        def ordered(array: np.ndarray, fill: bool | int) -> np.ndarray:
            shaped = array.reshape(p.groups, p.outputs, p.channels, -1)
            rest = [(0, 0), (0, blocks * lanes - p.outputs), (0, p.words * 64 - p.channels), (0, 0)]
            padded = np.pad(shaped, rest, constant_values=fill)
            split = padded.reshape(p.groups, blocks, lanes, p.words, 64, -1)[:, :, order]
            return split.transpose(0, 1, 5, 3, 2, 4).reshape(-1)

        filled = ordered(np.zeros(self.flat.shape, np.bool_), fill=True)
        digits = ordered(self.digits(), fill=0)
        if self.planes == 1:
            return Constant(digits, 2, 8, filled=filled)
        return Constant(digits, 4, 4, filled=filled, split=lanes)
