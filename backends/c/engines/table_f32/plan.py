"""Choices of the float table engine: group, tile, which taps share a table, how many tables at a time; their cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import groupby

from .....ir.kn.buffers import round_up
from ...engine import Schedule
from ...target import Target
from .problem import Problem

NAME = "table_f32"
VECTOR_BYTES = 32
"""A wider vector at a shifted place would always cross a cache line."""
LINE_BYTES = 64
MAX_GROUP = {2: 5, 3: 4}
MAX_TILE = 12
"""Vectors of sums of a tile."""
DEFINES = {"TABLE_F32_MAX_GROUP": max(MAX_GROUP.values()), "TABLE_F32_MAX_SUMS": MAX_TILE}
MAX_UNITS = 64
MAX_SUMS = 128 * 1024
MAX_RUN = 512
TABLE_SHARE_OF_L1 = 0.7


def lanes_of(target: Target) -> int:
    """Floats of a vector."""
    return min(target.vector_bytes, VECTOR_BYTES) // 4


@dataclass(frozen=True)
class Cluster:
    """Filter taps that read one table. taps: (number, row, column), relative to the table's window."""

    taps: tuple[tuple[int, int, int], ...]

    @property
    def first(self) -> tuple[int, int, int]:
        return self.taps[0]

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the window's first pixel to its last tap."""
        return max(row for _, row, _ in self.taps), max(column for _, _, column in self.taps)


@cache
def clusters_of(
    kernel: tuple[int, int], dilations: tuple[int, int], stride: int, rows: int, columns: int
) -> list[Cluster]:
    """The filter taps in clusters of one stride phase each that span up to `rows` and `columns` beyond the first."""
    s, places = stride, []
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            y, x = ky * dilations[0], kx * dilations[1]
            key = (y % s, x % s, y // s // (rows + 1), x // s // (columns + 1))
            places.append((key, ky * kernel[1] + kx, y // s, x // s))
    found = []
    for _, group in groupby(sorted(places), key=lambda place: place[0]):
        taps = [place[1:] for place in group]
        top, left = min(y for _, y, _ in taps), min(x for _, _, x in taps)
        found.append(Cluster(tuple((number, y - top, x - left) for number, y, x in taps)))
    return found


@dataclass(frozen=True)
class Plan:
    """A problem with a schedule; the problem may be folded, see `Problem.folds`.

    group: inputs of a table. rows, vectors: a tile of output pixels, `rows` rows of `vectors` vectors. pitch: vectors
    of a table's row. reach: rows that the taps of one table may span. together: 1 when all taps' tables of a group are
    built at once, 0 when one cluster follows the other. chunk: groups at a time.
    """

    problem: Problem
    target: Target
    group: int
    rows: int
    vectors: int
    pitch: int
    reach: int
    together: int
    chunk: int

    def schedule(self) -> Schedule:
        """width: pixels of a row. group: inputs of a table. rows, vectors: of a tile of output pixels. pitch: vectors
        of a row of a table. reach: rows that the taps of one table may span. together: 1 where the tables of all taps
        of a group are built at once, 0 where one cluster of taps follows the other. chunk: groups at a time."""
        names = ("group", "rows", "vectors", "pitch", "reach", "together", "chunk")
        return {"width": self.problem.out[1], **{name: getattr(self, name) for name in names}}

    @property
    def lanes(self) -> int:
        return lanes_of(self.target)

    @cached_property
    def clusters(self) -> list[Cluster]:
        problem = self.problem
        _, _, height, width = problem.weights.shape
        columns = (self.pitch - 1) * self.lanes
        return clusters_of((height, width), problem.dilations, problem.stride, self.reach, columns)

    @cached_property
    def window_rows(self) -> int:
        return self.rows + max(cluster.reach[0] for cluster in self.clusters)

    @cached_property
    def columns(self) -> int:
        """Pixels of a tile's row: vectors overlap where a table's row holds no more."""
        reach = max(cluster.reach[1] for cluster in self.clusters)
        return min(self.vectors * self.lanes, self.pitch * self.lanes - reach)

    @property
    def entries(self) -> int:
        return self.problem.digits.radix**self.group

    @property
    def table(self) -> int:
        """Vectors of a table."""
        return self.entries * self.window_rows * self.pitch

    @cached_property
    def parts(self) -> list[list[Cluster]]:
        """The clusters whose tables are in the cache at the same time."""
        return [self.clusters] if self.together else [[cluster] for cluster in self.clusters]

    @property
    def groups(self) -> int:
        return -(-self.problem.weights.shape[1] // self.group)

    @property
    def channels(self) -> int:
        """Output channels of one convolution group."""
        return self.problem.outputs // self.problem.group

    @cached_property
    def tiles(self) -> tuple[int, int]:
        return -(-self.problem.out[0] // self.rows), -(-self.problem.out[1] // self.columns)

    @cached_property
    def block(self) -> int:
        """Tiles side by side whose sums are kept until they are finished."""
        across = self.tiles[1]
        tile = self.channels * self.rows * self.columns * 4
        return -(-across // -(-across // max(1, min(across, MAX_SUMS // tile))))

    @property
    def run(self) -> int:
        """Neighbouring pixels that are finished at a time."""
        return min(self.rows * self.problem.out[1], MAX_RUN)

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """Bytes of scratch: tables, sums of a tile, sums of a block."""
        vector, rows = 4 * self.lanes, self.channels * self.rows
        tables = self.chunk * max(len(part) for part in self.parts) * self.table * vector
        width = min(self.block * self.columns, self.problem.out[1])
        block = (rows * width + self.pitch * self.lanes) * 4  # the last row's vectors may reach after it
        return round_up(tables, LINE_BYTES), round_up(rows * self.vectors * vector, LINE_BYTES), block

    def cost(self, costs: Mapping[str, float]) -> float:
        """Predicted cycles: tables, look-ups, the sums' way to and from memory, the epilogue.

        Costs of one vector: `row_store` an entry's row, `build` the rest of a table's row, `look_up` a row added to a
        sum, `sum` one loaded and stored (`sum_l2`: beyond L1). `index` of an output for a table, `finish` of 8 results,
        `run` of a call of the epilogue.
        """
        problem, sums = self.problem, self.rows * self.vectors
        build = look_up = 0.0
        held = costs["sum"] if self.sizes[1] <= self.target.l1 // 4 else costs["sum_l2"]
        chunks = -(-self.groups // self.chunk)
        for part in self.parts:
            units, rows = sum(len(c.taps) for c in part), sum(self.rows + c.reach[0] for c in part) * self.pitch
            build += self.groups * rows * (self.entries * costs["row_store"] + costs["build"])
            look_up += self.groups * units * (sums * costs["look_up"] + costs["index"]) + chunks * (sums * held + 2)
        tiles = self.tiles[0] * self.tiles[1]
        outputs = problem.outputs * problem.out[0] * problem.out[1]
        cycles = tiles * (problem.group * build + problem.outputs * look_up)
        return cycles + outputs * 8 / self.lanes * costs["finish"] + problem.outputs * self.tiles[0] * costs["run"]


def plans(problem: Problem, target: Target) -> list[Plan]:
    """All sensible plans, the cheapest first."""
    lanes = lanes_of(target)
    found = [plan for shape in (problem, *problem.folds((lanes, 2 * lanes))) for plan in _plans(shape, target)]
    return sorted(found, key=lambda plan: plan.cost(target.costs[NAME]))


def _plans(problem: Problem, target: Target) -> Iterator[Plan]:
    vector = 4 * lanes_of(target)
    registers = min(target.registers - 3, MAX_TILE)
    for pitch in (p for p in (1, 2, 4) if p * vector <= LINE_BYTES):
        for vectors in range(1, pitch + 1):
            for reach in sorted({0, (problem.weights.shape[2] - 1) * problem.dilations[0] // problem.stride}):
                for together in (0, 1):
                    for rows in _heights(problem.out[0], registers // vectors):
                        yield from _groups(Plan(problem, target, 1, rows, vectors, pitch, reach, together, 1))


def _heights(height: int, most: int) -> list[int]:
    """Rows of a tile, up to `most`: for every number of bands the fewest that cover the map."""
    return sorted({-(-height // -(-height // rows)) for rows in range(1, min(most, height) + 1)})


def _groups(plan: Plan) -> Iterator[Plan]:
    """The plans of a tile: every group, with as many tables at a time as the cache holds."""
    problem, part = plan.problem, max(len(p) for p in plan.parts)
    vectors = -(-problem.out[1] // plan.lanes)
    if plan.together and len(plan.clusters) == 1:
        return
    if plan.columns <= (plan.vectors - 1) * plan.lanes or plan.vectors > vectors:
        return
    if plan.pitch > vectors and plan.columns == plan.pitch * plan.lanes:
        return
    budget, vector = int(plan.target.l1 * TABLE_SHARE_OF_L1), 4 * plan.lanes
    units = max(sum(len(cluster.taps) for cluster in p) for p in plan.parts)
    for group in range(1, min(MAX_GROUP[problem.digits.radix], problem.weights.shape[1]) + 1):
        table = problem.digits.radix**group * plan.window_rows * plan.pitch * vector * part
        groups = -(-problem.weights.shape[1] // group)
        most = min(groups, budget // table, max(1, MAX_UNITS // units))
        if most:
            chunk = -(-groups // -(-groups // most))
            yield replace(plan, group=group, chunk=chunk)
