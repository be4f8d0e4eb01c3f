"""What the permute engine computes: a convolution of 8-bit integers by weights of {-1, 0, 1}; its weights as digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd, prod

import numpy as np

from .....ir.tn.linear import ConvOp
from .....ir.types import element_of, is_float, range_of, shape_of, storage_dtype
from ...bit_products.problem import Problem as Convolution
from ...bit_products.problem import read_convolution
from ...engine import Kernel
from ...limits import INT16_MAX, INT32_MAX
from ...refusal import Refused


@dataclass(frozen=True)
class Digits:
    """Weights as digits of table indices. kind: its name. values: what digit 0, 1, .. is. group: inputs of a table."""

    kind: str
    values: tuple[int, ...]
    group: int

    @property
    def radix(self) -> int:
        return len(self.values)

    @property
    def words(self) -> int:
        """Pairs of inputs that a table is built from."""
        return -(-self.group // 2)

    @property
    def entries(self) -> np.ndarray:
        """int8 [radix ^ group, group]: the weights that each index means."""
        index = np.arange(self.radix**self.group)[:, None] // self.radix ** np.arange(self.group)
        return np.asarray(self.values, np.int8)[index % self.radix]


TERNARY = Digits("ternary", (0, 1, -1), 3)
BINARY = Digits("binary", (-1, 1), 5)
SIGNED = Digits("signed", (0, 1), 5)
"""Filters of {0, 1} or {0, -1}; the sums of the latter are negated."""


MOST_WORDS = max(digits.words for digits in (TERNARY, BINARY, SIGNED))


@dataclass(frozen=True)
class Problem:
    """A convolution (its weights [groups, outputs, channels, kernel height, kernel width]) and the range of its inputs.

    lo, hi: of the inputs, with the 0 of padding in it. Tables are built from inputs less `lo`, which are bytes.
    """

    conv: Convolution
    lo: int
    hi: int

    @cached_property
    def flat(self) -> np.ndarray:
        """int8 [outputs of all groups, channels, taps]."""
        weights = self.conv.weights
        return weights.reshape(-1, weights.shape[2], prod(weights.shape[3:]))

    @cached_property
    def digits(self) -> Digits:
        if (self.flat != 0).all():
            return BINARY
        one_sign = ~((self.flat > 0).any((1, 2)) & (self.flat < 0).any((1, 2)))
        return SIGNED if one_sign.all() else TERNARY

    @property
    def turned(self) -> np.ndarray:
        """bool [outputs]: whose sums are negated."""
        return np.asarray((self.flat < 0).any((1, 2)) & (self.digits is SIGNED))

    @property
    def tables(self) -> int:
        """Of a pixel and a group of channels."""
        return -(-self.conv.channels // self.digits.group)

    @property
    def column_step(self) -> int:
        """Every which column of the input has tables: filter taps meet no other."""
        stride, dilation = self.conv.strides[1], self.conv.dilations[1]
        return stride if self.conv.kernel[1] == 1 else gcd(stride, dilation)

    @property
    def joined(self) -> bool:
        """Whether the tables of the taps of a row are one run."""
        return self.conv.kernel[1] == 1 or (self.conv.groups == 1 and self.conv.dilations[1] == self.column_step)

    @property
    def steps(self) -> int:
        """Look-ups of a run for each output."""
        return self.tables * (self.conv.kernel[1] if self.joined else 1)

    @property
    def runs(self) -> int:
        """Of a row of filter taps."""
        return 1 if self.joined else self.conv.kernel[1]

    @property
    def offset(self) -> np.ndarray:
        """int64 [outputs]: what a sum of tables lacks, with the bias."""
        return self.conv.bias + self.lo * self.flat.astype(np.int64).sum((1, 2))

    def groups_of(self, array: np.ndarray, fill: int) -> np.ndarray:
        """An array like `flat` as [outputs of all groups, row of taps * run, step, input of a table]."""
        conv, group = self.conv, self.digits.group
        padded = np.pad(array, [(0, 0), (0, self.tables * group - conv.channels), (0, 0)], constant_values=fill)
        shaped = padded.reshape(len(array), self.tables, group, conv.kernel[0], conv.kernel[1])
        return shaped.transpose(0, 3, 4, 1, 2).reshape(len(array), -1, self.steps, group)

    @cached_property
    def room(self) -> int:
        """Pairs of steps after which sums leave 16 bits, at most. Sums wrap around in between, and come back."""
        parts = []
        for sign in (1, -1):
            counts = self.groups_of((self.flat == sign).astype(np.int64), 0).sum(-1)  # [outputs, run, step]
            pairs = np.pad(counts, [(0, 0), (0, 0), (0, self.steps % 2)]).reshape(len(counts), -1, 2).sum(-1)
            parts.append(np.cumsum(np.pad(pairs, [(0, 0), (1, 0)]), axis=1))
        total = parts[0].shape[1] - 1
        for chunks in range(1, total + 1):
            room = -(-total // chunks)
            ends = np.minimum(np.arange(0, total + room, room), total)
            largest = max(int(np.diff(sums[:, ends], axis=1).max(initial=0)) for sums in parts)
            if largest * (self.hi - self.lo) <= INT16_MAX:
                return room
        return 1  # a pair of tables: at most 10 * 255

    @property
    def chunks(self) -> int:
        pairs = self.conv.kernel[0] * self.runs * -(-self.steps // 2)
        return -(-pairs // self.room)


def read_problem(kernel: Kernel) -> Problem:
    """The problem of a kernel. Raises Refused with the reason where it is another one."""
    root = next((op for op in kernel.ops if isinstance(op, ConvOp)), None)
    if root is None or kernel.input_index(root.x) is None:
        raise Refused("expected a convolution of an operand")
    element = element_of(root.x)
    if is_float(root.x) or storage_dtype(element).itemsize != 1:
        raise Refused(f"expected activations of 8 bits, got {element}")
    if (weights := kernel.ternary(root.w)) is None:
        raise Refused("expected constant weights of {-1, 0, 1}")
    if 0 in (*shape_of(root.x), *weights.shape, *shape_of(root.y)):
        raise Refused("an empty tensor")
    lo, hi = range_of(element)
    lo, hi = min(lo, 0), max(hi, 0)
    if hi - lo > 255:
        raise Refused(f"expected activations and 0 within 256 neighbouring values, got {element}")
    problem = Problem(read_convolution(kernel, root, weights), lo, hi)
    flat = problem.flat
    largest = (hi - lo) * int(np.maximum((flat > 0).sum((1, 2)), (flat < 0).sum((1, 2))).max())
    if largest + int(np.abs(problem.offset).max()) + int(np.abs(problem.conv.bias).max()) > INT32_MAX:
        raise Refused("sums beyond 32 bits")
    return problem
