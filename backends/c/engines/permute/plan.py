"""Choices of the permute engine: the register tile, bands of pixels, what threads share; and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from .....ir.kn.buffers import round_up
from ...engine import Schedule
from ...refusal import Refused
from ...scratch import Scratch
from ...target import Target
from .problem import MOST_WORDS, Problem

NAME = "permute"
MOST_PIXELS, MOST_VECTORS, ROWS, CELLS, SPARE = 8, 4, 16, 32, 32
"""Pixels and vectors of the largest tile; channels and pixels that are transposed together; pixels that are packed
together; sums after a run that an epilogue may read."""
DEFINES = {
    "PERMUTE_PIXELS": MOST_PIXELS, "PERMUTE_VECTORS": MOST_VECTORS, "PERMUTE_ROWS": ROWS, "PERMUTE_CELLS": CELLS,
    "PERMUTE_WORDS": MOST_WORDS, "PERMUTE_SPARE": SPARE,
}  # fmt: skip
STAGED_BYTES = 28 * 1024
"""Of the sums of a block of outputs and a band of pixels: they stay in L1."""
FEWEST_COLUMNS, MOST_SCRATCH = 16, 16 * 1024 * 1024
ENOUGH_JOBS = 8
"""Parts share rows or blocks of outputs where there are so many."""
CANDIDATES = 4
TEMPORARIES = 3
"""Registers beside sums and indices."""


@dataclass(frozen=True)
class Plan:
    """A problem with a schedule. pixels, vectors: of outputs, of a register tile."""

    problem: Problem
    target: Target
    pixels: int
    vectors: int

    @property
    def lanes(self) -> int:
        """Outputs of a block."""
        return self.vectors * self.target.lanes(np.int16)

    @property
    def blocks(self) -> int:
        """Of a group."""
        return -(-self.problem.conv.outputs // self.lanes)

    @property
    def pixel_bytes(self) -> int:
        """Tables of a pixel."""
        return self.problem.conv.groups * self.problem.tables * self.target.vector_bytes

    @cached_property
    def band(self) -> tuple[int, int]:
        """Rows and columns of output pixels for which one block of outputs is computed after the other."""
        height, width = self.problem.conv.out
        most = max(STAGED_BYTES // (4 * self.lanes), 1)
        if width <= most:
            return min(height, most // width), width
        columns = most
        while columns > FEWEST_COLUMNS and self._ring_rows(1) * self.row_bytes(columns) > self.target.l2 // 2:
            columns //= 2
        return 1, -(-width // -(-width // columns))

    def columns(self, width: int) -> int:
        """Columns of the input with tables, for so many of outputs."""
        conv, step = self.problem.conv, self.problem.column_step
        return ((width - 1) * conv.strides[1] + (conv.kernel[1] - 1) * conv.dilations[1]) // step + 1

    def row_bytes(self, width: int) -> int:
        return self.columns(width) * self.pixel_bytes

    def _ring_rows(self, rows: int) -> int:
        conv = self.problem.conv
        return min((rows - 1) * conv.strides[0] + (conv.kernel[0] - 1) * conv.dilations[0] + 1, conv.size[0])

    @property
    def ring(self) -> int:
        """Rows of tables that are kept."""
        return self._ring_rows(self.band[0])

    @property
    def share(self) -> str:
        """Of enum permute_share."""
        height, width = self.problem.conv.out
        if height >= ENOUGH_JOBS:
            return "ROWS"
        return "COLUMNS" if height == 1 and width >= ENOUGH_JOBS * self.pixels else "BLOCKS"

    @cached_property
    def scratch(self) -> Scratch:
        """The parts that permute_layer names."""
        rows, columns = self.band
        row, pixels, taps = self.row_bytes(columns), rows * columns, rows * self.problem.conv.kernel[0]
        return Scratch.of(
            ring=self.ring * row,
            padding=row,
            pairs=2 * self.problem.digits.words * round_up(self.columns(columns), CELLS),
            held=self.ring * 4,
            taps=taps * 8,
            staged=(pixels + ROWS) * self.lanes * 4,
            sums=ROWS * (round_up(pixels, ROWS) + SPARE) * 4,
        )

    def schedule(self) -> Schedule:
        """pixels, vectors: output pixels and vectors of outputs of a register tile."""
        return {"pixels": self.pixels, "vectors": self.vectors}

    def cost(self, costs: Mapping[str, float]) -> float:
        """One sample. A step, one table of each pixel of a tile, takes each pixel and vector of outputs a `look_up` and
        each table and vector of indices a `load`; sums that leave 16 bits `widen` a vector, a tile `tile`. A table
        takes `build` for each pair of its inputs and a `store`; a sum `value`; weights outside L2 `byte` each band."""
        problem, conv = self.problem, self.problem.conv
        rows, columns = self.band
        height, width = conv.out
        bands = [
            min(rows, height - y) * min(columns, width - x)
            for y in range(0, height, rows)
            for x in range(0, width, columns)
        ]
        steps, tile = conv.kernel[0] * problem.runs * problem.steps, self.pixels * self.vectors
        step = tile * costs["look_up"] + (self.pixels + self.vectors) * costs["load"]
        tiles = sum(-(-pixels // self.pixels) for pixels in bands) * self.blocks * conv.groups
        cycles = tiles * (steps * step + problem.chunks * tile * costs["widen"] + costs["tile"])
        read = min(conv.size[0], height * conv.kernel[0])
        built = read * sum(self.columns(min(columns, width - x)) for x in range(0, width, columns))
        cycles += built * conv.groups * problem.tables * (problem.digits.words * costs["build"] + costs["store"])
        cycles += height * width * conv.groups * conv.outputs * costs["value"]
        weights = self.blocks * conv.groups * steps * self.lanes
        if weights > self.target.l2 // 2:
            cycles = max(cycles, len(bands) * weights * costs["byte"])
        return conv.images * cycles + costs["kernel"]


def plans(problem: Problem, target: Target) -> list[Plan]:
    """The best register tiles, as predicted. Raises Refused where tables take too much memory."""
    widest = min(MOST_PIXELS, prod(problem.conv.out))
    found = [
        Plan(problem, target, pixels, vectors)
        for vectors in range(1, MOST_VECTORS + 1)
        for pixels in range(1, widest + 1)
        if (pixels + 1) * vectors <= target.registers - TEMPORARIES
    ]
    found = [plan for plan in found if plan.scratch.bytes <= MOST_SCRATCH]
    if not found:
        raise Refused(f"tables of more than {MOST_SCRATCH} bytes")
    return sorted(found, key=lambda plan: plan.cost(target.costs[NAME]))[:CANDIDATES]
