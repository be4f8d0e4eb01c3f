"""Choices of a dense kernel with outputs in the lanes: register tile, blocks of pixels and depth; what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from ....ir.kn.buffers import round_up
from ..scratch import Scratch
from ..target import Target
from .plan import ENOUGH_JOBS, Cell, Panels, depth_of, is_direct, step_cycles, tiles
from .problem import Conv

MAX_STRIP = 128
"""Pixels whose sums are kept together: with 64 outputs 32 KiB."""
WEIGHT_BLOCK = 16 * 1024
"""Bytes of the weights that a strip's tiles read again and again."""


@dataclass(frozen=True)
class OutputsPlan:
    """The fields of `struct dense_outputs` that are choices, and the bytes of scratch. panels: of the pixels of a row.
    width: vectors of outputs of a tile."""

    problem: Conv
    cell: Cell
    panels: Panels
    width: int
    lanes: int
    cells: int
    direct: bool
    share_panels: bool
    block_rows: int
    block_columns: int
    strip_rows: int
    block_depth: int
    pitch: int
    plane_rows: int
    plane: int
    scratch: Scratch

    @property
    def tile(self) -> int:
        """Outputs of a panel."""
        return self.width * self.lanes

    @property
    def output_panels(self) -> int:
        return -(-self.problem.outputs // self.tile)

    @property
    def run(self) -> int:
        """Sums of one output in a strip, whole vectors."""
        return round_up(self.strip_rows * self.block_columns, self.lanes)

    def cycles(self, target: Target, costs: Mapping[str, float]) -> float:
        """One sample: the tiles, whose steps read vectors of `weights` and a single cell for each pixel; each vector's
        way through the transposition, `turn`; the rest as with pixels in the lanes."""
        problem, depth = self.problem, depth_of(self.problem, self.cell)
        groups, cycles = problem.images * problem.groups, 0.0
        for pixels, count in Counter(self.panels.sizes()).items():
            steps = depth * step_cycles(pixels, self.width, self.cell, target, costs, costs["weights"])
            cycles += count * (steps + pixels * self.width * costs["sum"] + costs["tile"])
        rows = problem.out[0] * -(-problem.out[1] // self.block_columns)
        cycles *= groups * self.output_panels * rows
        strips = -(-problem.out[0] // self.strip_rows) * -(-problem.out[1] // self.block_columns)
        cycles += groups * self.output_panels * strips * self.run * self.width * costs["turn"]
        inputs = groups * problem.channels * prod(problem.size)
        cycles += inputs * costs["input"] + prod(problem.grid.shape) * costs["output"] / self.lanes + costs["kernel"]
        cycles += groups * (costs["group"] + problem.channels * problem.size[0] * costs["row"])
        weights = problem.weights.size * self.cell.weight_bytes // self.cell.per
        if self.cell.expands:
            cycles += problem.weights.size / self.cell.per / self.lanes * costs["expand"]
        if weights > target.l2 // 2:
            cycles = max(cycles, weights * strips * costs["byte"])
        return cycles


def plan_outputs(problem: Conv, cell: Cell, pixels: int, width: int, target: Target) -> OutputsPlan:
    """pixels, width: of the largest register tile, the width in vectors of outputs."""
    lanes = target.lanes(np.int32)
    tile, cells, depth = width * lanes, -(-problem.channels // cell.per), depth_of(problem, cell)
    (height, columns), (reach_y, reach_x), phases = problem.out, problem.reach, prod(problem.phases)
    direct = is_direct(problem, cell, pixels)
    block_rows, block_columns, budget = height, columns, target.l2 // 2
    if height == 1:
        block_columns = min(columns, round_up(MAX_STRIP, pixels))
    while block_rows > 1 and cells * phases * (block_rows + reach_y) * (columns + reach_x) * 4 > budget:
        block_rows = -(-block_rows // 2)
    if height >= 4 * ENOUGH_JOBS and problem.images * problem.groups < ENOUGH_JOBS:
        block_rows = min(block_rows, -(-height // ENOUGH_JOBS))
    panels = Panels.of(block_columns, pixels)
    strip_rows = min(block_rows, max(1, MAX_STRIP // block_columns))
    pitch, plane_rows = block_columns + reach_x, block_rows + reach_y
    plane = columns if direct else pitch * plane_rows
    blocks = max(1, round(depth * tile * 4 / WEIGHT_BLOCK))
    block_depth = min(-(-depth // blocks), cell.depth)
    if strip_rows * block_columns <= panels.tall:  # nothing is read again
        block_depth = min(depth, cell.depth)
    output_panels, jobs = -(-problem.outputs // tile), problem.images * problem.groups * -(-height // block_rows)
    run = round_up(strip_rows * block_columns, lanes)
    scratch = Scratch.of(
        offsets=depth * 4,
        prepared=depth * tile * 4 if cell.expands else 0,
        planes=0 if direct else (cells * phases * plane + panels.tall) * 4,
        sums=run * tile * 4,
        turned=run * lanes * 4,
    )
    return OutputsPlan(
        problem, cell, panels, width, lanes, cells, direct, jobs < ENOUGH_JOBS and output_panels > jobs,
        block_rows, block_columns, strip_rows, block_depth, pitch, plane_rows, plane, scratch,
    )  # fmt: skip


def outputs_plans(
    problem: Conv, cell: Cell, target: Target, costs: Mapping[str, float], most: int = 2
) -> list[OutputsPlan]:
    """The best few, best first; none where the panels of outputs would be mostly empty or the cell has couples."""
    lanes = target.lanes(np.int32)
    if cell.couples or problem.outputs < lanes:
        return []
    found = [
        plan_outputs(problem, cell, pixels, width, target)
        for pixels, width in tiles(target, cell, problem.out[1], round_up(problem.outputs, lanes))
    ]
    return sorted(found, key=lambda plan: plan.cycles(target, costs))[:most]
