"""Tables of the bit-sliced engine: how products become bits, counters and chunks; and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...convolutions.problem import Problem
from ...engine import Schedule
from ...refusal import Refused
from ...target import Target
from .forms import MAX_COUNTER

GROUP, STAGED = 3, 8
"""Inputs of a table; channels that are finished before they are stored."""
CHUNKS = (8, 4)
DEFINES = {
    "BITS_GROUP": GROUP, "BITS_STAGED": STAGED, "BITS_MAX_COUNTER": MAX_COUNTER, "BITS_MAX_CHUNK": max(CHUNKS),
}  # fmt: skip
TABLE_SHARE_OF_L1 = 0.9


@dataclass(frozen=True)
class TablePlan:
    """A problem with a schedule. chunk: tables at a time. bipolar: activations are -1 and +1, without zero padding."""

    problem: Problem
    target: Target
    bipolar: bool
    chunk: int

    @cached_property
    def radix(self) -> int:
        return 2 if (self.problem.weights != 0).all() else 3

    @property
    def one_bit(self) -> bool:
        """A product counts one bit; otherwise a * w + 1 counts two."""
        return self.bipolar or self.problem.lo >= 0

    @property
    def products(self) -> str:
        return "BITS_ONE" if self.one_bit else "BITS_TERNARY"

    @property
    def scale(self) -> int:
        return 2 if self.bipolar else 1

    @property
    def groups(self) -> int:
        return -(-self.problem.inputs // GROUP)

    @property
    def channels(self) -> int:
        """Output channels of one convolution group."""
        return self.problem.outputs // self.problem.group

    @property
    def largest_count(self) -> int:
        return GROUP * self.groups * (1 if self.one_bit else 2)

    @property
    def counter(self) -> int:
        """Bits of a count; the largest number they hold is no count, so that a threshold can be out of reach."""
        return (self.largest_count + 1).bit_length()

    @property
    def offsets(self) -> np.ndarray:
        """int64 [O]: sum = scale * count - offset. Inputs that pad the last group count as well."""
        flat = self.problem.weights.reshape(self.problem.outputs, -1)
        filled = GROUP * self.groups
        if not self.one_bit:
            return np.full(len(flat), filled, np.int64)
        counted = filled - self.problem.inputs if self.radix == 2 else 0  # their digit 0 is the weight -1
        return ((flat != 0) if self.bipolar else (flat < 0)).sum(1) + self.scale * counted

    @property
    def steps(self) -> int:
        return self.problem.levels.steps if self.problem.levels else 0

    @property
    def thresholds(self) -> int:
        """Comparisons of every count."""
        return self.problem.levels.thresholds.shape[1] if self.problem.levels else 0

    @property
    def table_bytes(self) -> int:
        planes = 2 if self.one_bit else 3
        return self.chunk * self.radix**GROUP * planes * self.target.vector_bytes

    @property
    def scratch(self) -> int:
        """Bytes that bits_scratch of bit_tables.h divides."""
        vector = self.target.vector_bytes
        return self.table_bytes + vector * (self.channels * self.counter + (STAGED + 1) * 8 * self.problem.bytes_out)

    def schedule(self) -> Schedule:
        """chunk: tables that are built at a time."""
        return {"chunk": self.chunk}

    def cost(self, costs: Mapping[str, float]) -> float:
        """Predicted cycles. A tile is 8 vectors of pixels, computed in full, so only large maps fill it.

        Costs for a tile: `pack` an input's bits, `entry` one of a table, `operation` of the adders, `level` a vector of
        results, for each step, `value` a result that is the sum itself, `store` the rest of an output.
        """
        problem = self.problem
        tiles = -(-problem.lanes(problem.pitch()) // (8 * self.target.vector_bytes))
        build = self.groups * (GROUP * costs["pack"] + self.radix**GROUP * costs["entry"])
        chunks = -(-self.groups // self.chunk)
        count = chunks * self._operations() * costs["operation"]
        if self.steps:
            finish = 8 * (1 + self.steps) * costs["level"] + self.thresholds * self.counter * 2
        else:
            finish = 8 * (self.counter + costs["value"] * self.target.vector_bytes)
        return tiles * (problem.group * build + problem.outputs * (count + finish + costs["store"]))

    def _operations(self) -> float:
        """Instructions to add one chunk to the counters of one channel."""
        full_adder = 3 if self.target.vector_bytes == 64 else 5  # AVX-512 has three-operand logic
        planes, carries, total = (2 if self.one_bit else 3), 0, 3 * self.chunk
        for b in range(self.counter):
            column = (self.chunk if b < planes else 0) + carries + 1
            carries = column // 2
            total += (column - 1) // 2 * full_adder + (column % 2 == 0) * 2 + 1 + (self.chunk if b < planes else 0)
        return total


def table_plans(problem: Problem, bipolar: bool, target: Target) -> list[TablePlan]:
    """All plans. Raises Refused where there is none."""
    bipolar = bipolar and not problem.request().zero
    found = [TablePlan(problem, target, bipolar, chunk) for chunk in CHUNKS]
    if found[0].counter > MAX_COUNTER:
        raise Refused(f"expected counts of at most {MAX_COUNTER} bits, got {found[0].counter}")
    limit = target.l1 * TABLE_SHARE_OF_L1
    return [p for p in found if p.table_bytes <= limit] or [min(found, key=lambda p: p.chunk)]
