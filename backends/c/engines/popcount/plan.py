"""Choices of the popcount engine: the register tile, bands of pixels, what threads share; and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from .....ir.kn.bits import planes_in_bits
from ...bit_products.problem import Levels, Problem
from ...engine import Schedule
from ...scratch import Scratch
from ...target import Target
from .forms import Form

NAME = "popcount"
MOST_PIXELS, MOST_VECTORS, SPARE, WORD_BITS = 8, 8, 32, 64
"""Pixels and vectors of the largest tile; sums after a run that an epilogue may read; channels of a word."""
DEFINES = {"POPCOUNT_PIXELS": MOST_PIXELS, "POPCOUNT_VECTORS": MOST_VECTORS, "POPCOUNT_SPARE": SPARE}
FEWEST, STAGED_BYTES = 128, 24 * 1024
"""Pixels of a band, at least; bytes of the sums of a block of outputs that stay in L1, where an epilogue takes them."""
ENOUGH_JOBS = 8
"""Parts share rows or blocks of outputs where there are so many."""
CANDIDATES = 4
TEMPORARIES = 3
"""Registers beside sums, weights and activations."""


@dataclass(frozen=True)
class Plan:
    """A problem with a schedule. pixels, vectors: of outputs, of a register tile."""

    form: Form
    target: Target
    pixels: int
    vectors: int

    @property
    def problem(self) -> Problem:
        return self.form.problem

    @property
    def lanes(self) -> int:
        """Outputs of a block."""
        return self.vectors * self.target.lanes(np.uint64)

    @property
    def blocks(self) -> int:
        """Of a group."""
        return -(-self.problem.outputs // self.lanes)

    @property
    def levels(self) -> Levels | None:
        """What the engine itself compares; blocks of all groups have to be whole bytes."""
        whole = self.problem.groups == 1 or self.problem.outputs % self.lanes == 0
        return self.problem.levels if whole else None

    @property
    def fold(self) -> int:
        """Vectors of counts that are compared as one, in narrower lanes."""
        if self.levels is None:
            return 1
        fits = (n for n in (4, 2) if self.vectors % n == 0 and self.form.largest < 2 ** (64 // n - 1) - 1)
        return next(fits, 1)

    @property
    def order(self) -> np.ndarray:
        """int [outputs of a block]: the output in each lane, so that folded lanes are in order."""
        lanes = np.arange(self.lanes).reshape(-1, self.target.lanes(np.uint64), self.fold)
        return lanes.transpose(0, 2, 1).reshape(-1)

    @property
    def band(self) -> tuple[int, int]:
        """Rows and columns of output pixels for which one block of outputs is computed after the other."""
        height, width = self.problem.out
        staged = self.levels is None and not self.problem.rows
        inputs = prod(self.problem.strides) * self.problem.groups * self.problem.words * self.problem.planes * 8
        most = max(FEWEST, self.target.l1 // 2 // inputs)
        most = min(most, STAGED_BYTES // (4 * self.lanes)) if staged else most
        return (min(height, most // width), width) if width <= most else (1, most // self.pixels * self.pixels)

    @property
    def share(self) -> str:
        """Of enum popcount_share."""
        height, width = self.problem.out
        if height >= ENOUGH_JOBS:
            return "ROWS"
        if height == 1 and width >= ENOUGH_JOBS * self.pixels:
            return "COLUMNS"
        return "BLOCKS"

    @cached_property
    def scratch(self) -> Scratch:
        """The parts that popcount_layer names."""
        rows, columns = self.band
        pixels, sizes = rows * columns, {"sums": (self.pixels * self.lanes + SPARE) * 4}
        staged = self.levels is None and not self.problem.rows
        sizes["staged"] = self.lanes * (pixels + SPARE) * 4 if staged else 0
        signs = self.form.product == "SIGNS"
        height, width = self.problem.size
        inside = (rows - 1) * self.problem.strides[0] + (self.problem.kernel[0] - 1) * self.problem.dilations[0] + 1
        sizes["counted"] = pixels * 8 if signs else 0
        sizes["column_counts"] = min(inside, height) * width * 8 if signs else 0
        words = 0
        if self.levels is not None:
            words = -(-self.problem.groups * self.problem.outputs // WORD_BITS) * planes_in_bits(self.levels.element)
        return Scratch.of(**sizes, bits=pixels * words * 8)

    def schedule(self) -> Schedule:
        """pixels, vectors: output pixels and vectors of outputs of a register tile."""
        return {"pixels": self.pixels, "vectors": self.vectors}

    # -- cost -----------------------------------------------------------------------------------------------------

    def cost(self, costs: Mapping[str, float]) -> float:
        """One sample. A step, 64 channels of a tap, takes each pixel and vector of outputs its operations, `op`, each
        vector of weights a `load`, each word of a pixel a `broadcast`; a tile `tile`, its pixels `pixel` each; a
        vector of results, `fold` to bring several into one, `level` for each threshold or, as sums for an epilogue,
        each `value`; SIGNS `count` for words and taps of the inputs; weights outside L2 `byte`."""
        problem, form = self.problem, self.form
        name = "popcount_u64" if "popcount_u64" in self.target.instructions else "popcount_u8"
        ones = self.target.instructions[name].ops if name in self.target.instructions else 10
        ops = form.operations + form.counts * ones
        blocks, words = problem.groups * self.blocks, problem.words
        cycles = 0.0
        rows, columns = (problem.spans(axis) for axis in (0, 1))
        for row in rows:
            for column in columns:
                steps = row.count * column.count * words
                for size, count in self._tiles((row.end - row.begin) * (column.end - column.begin)):
                    step = self.vectors * (size * ops * costs["op"] + form.planes * costs["load"])
                    step += size * problem.planes * costs["broadcast"]
                    cycles += count * (steps * step + costs["tile"] + size * costs["pixel"])
        cycles *= blocks
        outputs = problem.images * prod(problem.out)
        cycles *= problem.images
        vectors = outputs * blocks * self.vectors
        if self.levels is not None:
            cycles += vectors / self.fold * self.levels.thresholds[0].size * costs["level"]
            cycles += vectors * costs["fold"] if self.fold > 1 else 0
        else:
            cycles += outputs * problem.groups * problem.outputs * costs["value"]
        inputs = problem.images * prod(problem.size) * problem.groups
        if form.product == "SIGNS":
            cycles += (inputs * words + outputs * problem.groups * prod(problem.kernel)) * costs["count"]
        weights = blocks * self.lanes * prod(problem.kernel) * words * form.planes * 8
        if weights > self.target.l2 // 2:
            bands = -(-problem.out[0] // self.band[0]) * -(-problem.out[1] // self.band[1])
            cycles = max(cycles, problem.images * bands * weights * costs["byte"])
        return cycles + costs["kernel"]

    def _tiles(self, pixels: int) -> list[tuple[int, int]]:
        """Sizes of the tiles of so many pixels, and how many there are of each."""
        whole, rest = divmod(pixels, self.pixels)
        return [(size, count) for size, count in ((self.pixels, whole), (rest, 1)) if size and count]


def registers(form: Form, pixels: int, vectors: int) -> int:
    """Vectors of a tile that are alive together."""
    return pixels * vectors * form.counts + pixels * form.problem.planes + vectors * form.planes


def plans(problem: Problem, target: Target) -> list[Plan]:
    """The best register tiles, as predicted."""
    form, lanes = Form.of(problem), target.lanes(np.uint64)
    sizes = [v for v in (1, 2, 4, MOST_VECTORS) if v * lanes in (8, 16, 32, 64)]
    if problem.levels is not None and problem.groups > 1:
        sizes = [v for v in sizes if problem.outputs % (v * lanes) == 0] or sizes
    found = [
        Plan(form, target, pixels, vectors)
        for vectors in sizes
        for pixels in range(1, MOST_PIXELS + 1)
        if registers(form, pixels, vectors) <= target.registers - TEMPORARIES or (pixels == 1 and vectors == sizes[0])
    ]
    widest = min(MOST_PIXELS, prod(problem.out))
    found = [plan for plan in found if plan.pixels <= widest]
    return sorted(found, key=lambda plan: plan.cost(target.costs[NAME]))[:CANDIDATES]
