"""What operations have in common, as base classes: those that map elements, and those that move them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..operation import TensorOperation
from ..types import shape_of

PARAMETERS = "its parameters depend on the input"
ALONG_BATCH = "it works along the batch axis"

RISES, FALLS, UNKNOWN = np.ones(1), -np.ones(1), np.full(1, np.nan)
"""Directions: never falls, never rises, not known to be monotone."""


def factor_direction(factor: np.ndarray | None) -> np.ndarray:
    """The direction of a product with a constant; not known for an infinite one: 0 times it is NaN."""
    if factor is None:
        return UNKNOWN
    return np.where(np.isfinite(factor), np.sign(factor), np.nan)


class ElementwiseOp(TensorOperation):
    """Every element of the result is computed from one element of each operand, which broadcast, or from a channel's
    parameters."""

    MAPS: ClassVar[int | None] = None
    """How many operands, from the first on, broadcast against the result; the rest are parameters. None: all do."""
    IN_ORDER: ClassVar[bool] = False
    """Whether float32 results follow `direction` without exception, NaN aside: each step is correctly rounded. Where
    they may not, a pass has to look at the results that it relies on."""

    @abstractmethod
    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        """How the result moves where operand number `place` rises and the other one is `constant` (None: not constant,
        or there is none): +1 it never falls, -1 it never rises, 0 it stays, NaN not known. One number, or one for each
        of the constant's elements, in its shape."""
        raise NotImplementedError

    def parameter_axis(self) -> int | None:
        """The axis along which elements have parameters of their own, in operands that are no maps; None where all have
        the same, or there are none."""
        return None

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        rank = len(shape_of(self.results[0]))
        aligned = all(len(shape_of(v)) == rank for v, sample in zip(self.operands, per_sample, strict=True) if sample)
        return "" if aligned else "it broadcasts the batch axis against another one"


class MovementOp(TensorOperation):
    """Every element of the result is an element of the first operands, or a constant: the same on integers as on
    floats."""
