"""Choices of a dense kernel: register tile, blocks of pixels and depth, scratch; and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from ....ir.kn.buffers import ALIGNMENT, TAIL_BYTES, round_up
from ..refusal import Refused
from ..scratch import Scratch
from ..target import Target
from .problem import Conv, MatMul, Problem

MAX_ROWS, MAX_WIDTH = 12, 8
"""Rows and vectors of the largest tile."""
DEFINES = {"DENSE_ROWS": MAX_ROWS, "DENSE_WIDTH": MAX_WIDTH}
MAX_SUMS = 1024  # kept together for one panel
LANES, COUPLE_LANES = 64, 224  # that a panel computes before the next one, at most
LONG_RUN = 192
"""Lanes of one channel that are finished together where nothing speaks against it: channels lie far apart, and shorter
runs wait for the cache at either end."""
COUPLE_CELLS = 1 << 16
"""Cells of the planes of one block of depth in which couples find their inputs."""
ENOUGH_JOBS = 8
"""So many pieces of work or more keep all threads busy."""


@dataclass(frozen=True)
class Cell:
    """The four bytes of one multiply-accumulate of dense_tile.h.

    name: its `enum dense_cell_kind`. per: elements in it. ops: vector operations of one multiply-accumulate.
    multiplies: how many of them start in a cycle. depth: how many steps may be added before the sums must be widened.
    form, binary: how weights are stored (`enum dense_weights`). border: what is added to inputs: padded ones hold it.
    couples: steps are taken two at a time, in an order of each panel's own. steps: how many there are for each cell of
    depth, by the rows of a panel.
    """

    name: str
    per: int
    ops: float
    multiplies: float
    depth: int = 1 << 30
    form: str = "DENSE_CELLS"
    binary: bool = False
    border: int = 0
    couples: bool = False
    steps: Callable[[int], float] = lambda rows: 1.0

    @property
    def short(self) -> str:
        """The name in schedules."""
        return self.name.removeprefix("DENSE_").lower()

    @property
    def weight_bytes(self) -> int:
        return {"DENSE_CELLS": 4, "DENSE_I8_PAIRS": 2, "DENSE_I8_FLOATS": 1}[self.form]

    @property
    def expands(self) -> bool:
        """Whether convolutions make cells of stored weights."""
        return self.form != "DENSE_CELLS" or self.binary


@dataclass(frozen=True)
class Panels:
    """`count` rows in `panels` panels of `tall` rows, the last ones with one row less (struct dense_panels)."""

    count: int
    panels: int
    tall: int

    @classmethod
    def of(cls, count: int, tallest: int) -> Panels:
        panels = -(-count // tallest)
        return cls(count, panels, -(-count // panels))

    def begin(self, panel: int) -> int:
        shorter = self.panels * self.tall - self.count
        return panel * self.tall - max(0, panel - (self.panels - shorter))

    def sizes(self) -> list[int]:
        return [self.begin(i + 1) - self.begin(i) for i in range(self.panels)]


def tiles(target: Target, cell: Cell, rows: int, pixels: int) -> Iterator[tuple[int, int]]:
    """Register tiles (rows, vectors) that fit the target's registers, for `rows` rows and `pixels` lanes."""
    passing = 1 if cell.ops == 1 else 2
    vectors = -(-pixels // target.lanes(np.int32))
    for width in range(1, MAX_WIDTH + 1):
        if width > 1 and width > vectors:
            return
        fits = (r for r in range(min(MAX_ROWS, rows), 0, -1) if _held(cell, r, width) + passing <= target.registers)
        if tallest := next(fits, 0):
            yield tallest, width


def _held(cell: Cell, rows: int, width: int) -> int:
    """Vectors that a tile holds while others pass by: sums, and the side of which there are fewer. One more than there
    are registers would wait in memory every step, which takes longer than the step."""
    return rows * width + (2 * width + 2 if cell.couples else min(rows, width))


def step_cycles(rows: int, width: int, cell: Cell, target: Target, costs: Mapping[str, float], load: float) -> float:
    """Core cycles of one step of depth: `busy` times those of the busiest unit, of which a vector operation takes `op`,
    any instruction `issue`, a load half a one, float sums that wait for each other 4; and `load`, an argument, for each
    load of a vector, `single` for each of a single cell."""
    macs = rows * width
    broadcast = 1 if target.vector_bytes > 16 else 2
    held = rows < width and not cell.couples  # compilers then read the passing vectors from memory again for every row
    singles, vectors = rows + 1, macs if held else width
    ops = macs * cell.ops + width + rows * broadcast + 4
    latency = 4.0 if cell.ops == 1 else 1.0
    loads, arithmetic = (singles + vectors) / 2, macs * cell.ops * costs["op"]
    busiest = max(macs / cell.multiplies, arithmetic, loads, ops * costs["issue"], latency)
    return costs["busy"] * busiest + load * vectors + costs["single"] * singles


def depth_of(problem: Problem, cell: Cell) -> int:
    """Cells that are added up for one output."""
    if isinstance(problem, MatMul):
        return -(-problem.inputs // cell.per)
    return -(-problem.channels // cell.per) * prod(problem.kernel)


def is_direct(problem: Conv, cell: Cell, tile: int) -> bool:
    """Whether the input's own planes serve as cells. tile: cells that are loaded together."""
    pixels = prod(problem.out)
    return (
        cell.name == "DENSE_F32"
        and problem.kernel == problem.strides == (1, 1)
        and problem.pads == (0, 0)
        and problem.size == problem.out
        and tile * 4 <= TAIL_BYTES
        and (pixels * 4 % 2048 != 0 or problem.channels < 16)  # planes that far apart meet in the same cache sets
    )


def _shared(problem: Conv, cell: Cell) -> int:
    """Border columns that neighbouring rows share: less garbage between them. Float kernels did not gain by it."""
    return problem.shared_border if cell.couples else 0


def _tile_cycles(
    problem: Problem, cell: Cell, target: Target, costs: Mapping[str, float], tallest: int, width: int
) -> float:
    """`sum` is one vector's way to memory and back, `tile` a call."""
    tile, depth = width * target.lanes(np.int32), depth_of(problem, cell)
    if isinstance(problem, MatMul):
        sizes, columns, repeats = Panels.of(problem.rows, tallest).sizes(), -(-problem.columns // tile), 1
    else:
        pitch = problem.out[1] + problem.reach[1] - _shared(problem, cell)
        sizes = Panels.of(problem.outputs, tallest).sizes()
        columns = -(-((problem.out[0] - 1) * pitch + problem.out[1]) // tile)
        repeats = problem.groups * problem.images
    cycles = 0.0
    for rows, panels in Counter(sizes).items():
        steps = depth * cell.steps(rows) * step_cycles(rows, width, cell, target, costs, costs["load"])
        cycles += panels * (steps + rows * width * costs["sum"] + costs["tile"])
    return cycles * columns * repeats


def best_tiles(
    problem: Problem, cell: Cell, target: Target, costs: Mapping[str, float], most: int = 2
) -> list[tuple[int, int]]:
    """The best few register tiles (rows, vectors), best first."""
    rows = problem.rows if isinstance(problem, MatMul) else problem.outputs
    lanes = problem.columns if isinstance(problem, MatMul) else prod(problem.out)
    found = set(tiles(target, cell, rows, lanes))
    return sorted(found, key=lambda tile: (_tile_cycles(problem, cell, target, costs, *tile), tile))[:most]


def predicted(problem: Problem, cell: Cell, target: Target, costs: Mapping[str, float], rows: int, width: int) -> float:
    """One sample: the tiles, the copy of each `input`, the epilogue of a vector of `output`s, the rest of a `kernel`;
    convolutions `expand` each vector of weights, and copy `row` by row for each `group`, or read the input's own
    planes, which lie `far` apart for each first load of a vector; weights that leave the L2 cache are streamed, each
    `byte`."""
    cycles = _tile_cycles(problem, cell, target, costs, rows, width)
    weights = int(problem.weights.size * cell.weight_bytes * cell.steps(rows)) // cell.per
    outputs = prod(problem.grid.shape)
    if isinstance(problem, MatMul):
        inputs, weights_read = problem.rows * problem.inputs, weights
    else:
        inputs = problem.images * problem.groups * problem.channels * prod(problem.size)
        weights_read = weights * -(-prod(problem.out) // 64)
        groups = problem.images * problem.groups
        cycles += groups * costs["group"]
        if is_direct(problem, cell, width * target.lanes(np.int32)):
            cycles += groups * problem.channels * -(-prod(problem.out) // target.lanes(np.int32)) * costs["far"]
        else:
            cycles += groups * problem.channels * problem.size[0] * costs["row"]
        if cell.expands:
            cycles += problem.weights.size / cell.per / target.lanes(np.int32) * costs["expand"]
    cycles += inputs * costs["input"] + outputs * costs["output"] / target.lanes(np.int32) + costs["kernel"]
    if weights > target.l2 // 2:
        cycles = max(cycles, weights_read * costs["byte"])
    return cycles


@dataclass(frozen=True)
class ConvPlan:
    """The fields of `struct dense_conv` that are choices, and the bytes of scratch."""

    problem: Conv
    cell: Cell
    panels: Panels
    width: int
    cells: int
    direct: bool
    share_panels: bool
    prepare_all: bool
    block_rows: int
    block_columns: int
    pitch: int
    plane_rows: int
    plane: int
    shared: int
    block_depth: int
    group_lanes: int
    offsets: int
    prepared: int
    planes: int
    sums: int
    scratch: int


def plan_conv(problem: Conv, cell: Cell, rows: int, width: int, target: Target) -> ConvPlan:
    """Raises Refused where planes are too large for couples."""
    tile, panels = width * target.lanes(np.int32), Panels.of(problem.outputs, rows)
    cells, depth = -(-problem.channels // cell.per), depth_of(problem, cell)
    (height, columns), (reach_y, reach_x), phases = problem.out, problem.reach, prod(problem.phases)
    direct = is_direct(problem, cell, tile)
    block_rows, block_columns = height, columns
    budget = target.l2 // 2
    while block_rows > 1 and (cells * phases * (block_rows + reach_y) * (columns + reach_x) * 4 > budget):
        block_rows = -(-block_rows // 2)
    if height >= 4 * ENOUGH_JOBS and problem.images * problem.groups < ENOUGH_JOBS:  # lower blocks waste lanes
        block_rows = min(block_rows, -(-height // ENOUGH_JOBS))
    if height == 1:
        block_columns = min(columns, round_up(max(-(-columns // ENOUGH_JOBS), 4 * tile), tile))
    while block_rows == 1 and not direct and block_columns > 8 * tile:
        if cells * phases * (1 + reach_y) * (block_columns + reach_x) * 4 <= budget:
            break
        block_columns = round_up(block_columns // 2, tile)

    shared = _shared(problem, cell) if block_columns == columns else 0
    pitch, plane_rows = block_columns + reach_x - shared, block_rows + reach_y
    plane = pitch * plane_rows + shared
    if plane % 512 < 32:  # neighbouring planes should not meet in the same cache sets
        plane = (plane if cell.couples else round_up(plane, 512)) // 512 * 512 + 32
    if direct:
        plane = columns
    lanes = (block_rows - 1) * pitch + block_columns
    together = COUPLE_LANES if cell.couples else LANES
    if panels.panels == 1:  # few calls of the epilogue, whole rows
        together = max(together, MAX_SUMS // panels.tall)
    group_lanes = _whole_tiles(together, tile, lanes)
    block_depth = _block_depth(depth, prod(problem.kernel), phases, panels.tall, group_lanes, pitch, plane, reach_y)
    if block_depth >= depth:  # each panel finishes before the next begins: long runs of a result reach memory together
        group_lanes = _whole_tiles(max(together, LONG_RUN), tile, lanes)
    if cell.couples:  # groups of about one size
        group_lanes = round_up(-(-lanes // -(-lanes // group_lanes)), tile)
    deepest = cell.depth
    if cell.couples and cells > (near := COUPLE_CELLS // (phases * plane)):
        if near < 2:
            raise Refused("planes that are too large for couples")
        deepest = min(deepest, prod(problem.kernel) * (near - 1))  # a block may begin inside a channel cell
    if deepest < block_depth:
        block_depth = -(-depth // -(-depth // deepest))

    jobs = problem.images * problem.groups * -(-height // block_rows) * -(-columns // block_columns)
    every = problem.groups * problem.outputs * depth
    prepare_all = cell.expands and every * 4 <= target.l2 // 4
    scratch = Scratch.of(
        offsets=0 if cell.couples else depth * 4,
        prepared=(every if prepare_all else panels.tall * block_depth) * 4 + 64 if cell.expands else 0,
        planes=0 if direct else (cells * phases * plane + tile + 16) * 4,
        sums=(panels.panels if depth > block_depth else 1) * panels.tall * group_lanes * 4,
    )
    return ConvPlan(
        problem, cell, panels, width, cells, direct, jobs < ENOUGH_JOBS and panels.panels > jobs, prepare_all,
        block_rows, block_columns, pitch, plane_rows, plane, shared, block_depth, group_lanes,
        *scratch.places,
    )  # fmt: skip


def _whole_tiles(wanted: int, tile: int, lanes: int) -> int:
    """`wanted` lanes as whole tiles, at least one and not more than cover `lanes`."""
    return tile * min(max(1, wanted // tile), -(-lanes // tile))


def _block_depth(
    depth: int, taps: int, phases: int, tall: int, lanes: int, pitch: int, plane: int, reach_y: int
) -> int:
    """Steps whose input cells and weights stay in half of a 32 KiB cache or a little more; near-equal blocks."""
    touched = min(plane, lanes + reach_y * pitch, (reach_y + 1) * (lanes + 16))
    per_step = (phases * touched / taps + tall) * 4
    most = max(64, int(20 * 1024 / per_step))
    blocks = max(1, round(depth / most + 0.2))
    return -(-depth // blocks)


@dataclass(frozen=True)
class MatMulPlan:
    """The fields of `struct dense_matmul` that are choices, and the bytes of scratch."""

    problem: MatMul
    cell: Cell
    panels: Panels
    width: int
    depth: int
    block_depth: int
    group_panels: int
    direct: bool
    share_rows: bool
    cells: int
    sums: int
    scratch: int


def plan_matmul(problem: MatMul, cell: Cell, tallest: int, width: int, target: Target) -> MatMulPlan:
    tile = width * target.lanes(np.int32)
    panels, depth = Panels.of(problem.rows, tallest), depth_of(problem, cell)
    direct = cell.name == "DENSE_F32"
    block_depth = depth
    if panels.panels > 1:
        blocks = max(1, round(depth * (tile * cell.weight_bytes + panels.tall * 4) / (24 * 1024) + 0.2))
        block_depth = -(-depth // blocks)
    block_depth = min(block_depth, cell.depth)
    group_rows = max(panels.tall, 16 * 1024 // (tile * 4))
    if not direct:
        group_rows = max(panels.tall, min(group_rows, target.l2 // 2 // (depth * 4)))
    column_panels = -(-problem.columns // tile)
    share_rows = column_panels < ENOUGH_JOBS and panels.panels > column_panels
    if share_rows:
        group_rows = min(group_rows, -(-problem.rows // ENOUGH_JOBS))
    group_panels = max(1, min(panels.panels, group_rows // panels.tall))
    rows = min(problem.rows, group_panels * panels.tall)
    cells = 0 if direct else round_up(rows * depth * 4 + 64, ALIGNMENT)
    return MatMulPlan(
        problem, cell, panels, width, depth, block_depth, group_panels, direct, share_rows,
        0, cells, cells + rows * tile * 4,
    )  # fmt: skip
