"""Weights of {-1, 0, 1} as fields of one or two bits, and the inputs that they meet as int8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .....ir.types import element_of, is_float, range_of, storage_dtype
from ...dense.problem import MatMul, bias_of
from ...engine import Constant, Kernel
from ...limits import INT32_MAX
from ...refusal import Refused

FORMS = ((2, -1), (1, 0), (-1, 0))
"""scale and rest of the columns that one bit serves: weights of {-1, 1}, {0, 1} and {0, -1}."""


@dataclass(frozen=True)
class Inputs:
    """Inputs as int8: `shift` less than they are, in lo..hi. stored: the dtype's name."""

    shift: int
    lo: int
    hi: int
    stored: str

    @classmethod
    def of(cls, problem: MatMul) -> Inputs:
        """Raises Refused for inputs that 8 bits do not hold."""
        if is_float(problem.x):
            raise Refused("float operands")
        element = element_of(problem.x)
        lo, hi = range_of(element)
        stored = storage_dtype(element).name
        if hi - lo > 255 or stored not in ("int8", "uint8", "int16"):
            raise Refused(f"expected inputs of 8 bits, got {element}")
        shift = 0 if lo >= -128 and hi <= 127 else lo + 128
        return cls(shift, lo - shift, hi - shift, stored)


@dataclass(frozen=True)
class Fields:
    """values: uint8 [inputs, columns] below 2^bits. A weight is scale * value + rest; scale, rest: int8 [columns]."""

    bits: int
    values: np.ndarray
    scale: np.ndarray
    rest: np.ndarray

    @property
    def largest(self) -> int:
        return 1 if self.bits == 1 else 2

    @property
    def uniform(self) -> bool:
        """Whether all columns have one scale and one rest."""
        return bool((self.scale == self.scale[0]).all() and (self.rest == self.rest[0]).all())

    def offset(self, kernel: Kernel, problem: MatMul, inputs: Inputs) -> np.ndarray:
        """What every sum of an output lacks: the bias, and the shift of the inputs times the sum of the weights. In the
        shape that broadcasts against the root's result. Raises Refused where sums leave 32 bits."""
        offset = inputs.shift * problem.weights.sum(axis=0, dtype=np.int64)
        if (bias := bias_of(kernel, problem)) is not None:
            offset = offset + bias.reshape(-1).astype(np.int64)
        # scale * sum of fields + rest * sum of inputs, each at most 2 * 128 for an input
        if problem.inputs * 384 + int(np.abs(offset).max()) > INT32_MAX:
            raise Refused("sums beyond 32 bits")
        if problem.root.name == "tn.conv":
            return offset.reshape(-1, *(1,) * (len(problem.grid.shape) - 2))
        return offset.reshape(1) if offset.size == 1 else offset

    def packed(self, columns: int, lanes: int, depth: int) -> Constant:
        """The fields in reading order: block of `depth` packed vectors, panel of `columns` vectors of `lanes` columns,
        packed vector, lane, byte, field.

        Digits of radix 4 rather than trits, so that they are expanded to bit fields. Stored they are trits.
        """
        count, outputs = self.values.shape
        quads = 8 // self.bits // columns
        panels, steps = -(-outputs // (columns * lanes)), -(-count // (4 * quads))

        def ordered(array: np.ndarray, fill: bool | int) -> np.ndarray:
            rest = (steps * quads * 4 - count, panels * columns * lanes - outputs)
            padded = np.pad(array, [(0, r) for r in rest], constant_values=fill)
            split = padded.reshape(steps, quads, 4, panels, columns, lanes).transpose(3, 0, 5, 2, 1, 4)
            return np.concatenate([split[:, begin : begin + depth].reshape(-1) for begin in range(0, steps, depth)])

        filled = ordered(np.zeros((count, outputs), np.bool_), fill=True)
        return Constant(ordered(self.values, fill=0), 1 << self.bits, 8 // self.bits, filled=filled)


def read_fields(weights: np.ndarray) -> Fields:
    """The fields of weights [inputs, columns] of -1, 0 and 1: one bit where every column holds two kinds at most."""
    weights = weights.astype(np.int8)
    minus, zero, plus = ((weights == value).any(axis=0) for value in (-1, 0, 1))
    form = np.select([~zero, ~minus, ~plus], [0, 1, 2], -1)
    columns = weights.shape[1]
    if (form < 0).any():
        return Fields(2, (weights + 1).astype(np.uint8), np.ones(columns, np.int8), np.full(columns, -1, np.int8))
    scale, rest = np.array(FORMS, np.int8)[form].T
    return Fields(1, (weights == np.where(form == 2, -1, 1)).astype(np.uint8), scale, rest)
