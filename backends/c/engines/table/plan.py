"""Choices of the table engine: kind of digits, lane widths, group, chunk and tile; and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...convolutions.problem import Problem
from ...engine import Schedule
from ...target import Target

NAME = "table"
MAX_GROUP = {2: 8, 3: 5}
MAX_CHUNK = 64
MAX_VECTORS, STAGED = 4, 16
"""Vectors of a tile, at most; channels that are finished before they are stored."""
DEFINES = {"TABLE_MAX_GROUP": max(MAX_GROUP.values()), "TABLE_MAX_VECTORS": MAX_VECTORS, "TABLE_STAGED": STAGED}
MAX_TILE_BYTES = 256  # a tile's loads may run past the last plane, into the readable bytes after the buffer
TABLE_SHARE_OF_L1 = 0.8


@dataclass(frozen=True)
class Digits:
    """The weights as digits of the index stream.

    kind: the name in table_sums.h. radix: 2 or 3. values: uint8 [O, inputs]. sign: int64 [O]; -1 where the table sums
    are the negated ones (a channel of {0, -1} is stored as one of {0, 1}).
    """

    kind: str
    radix: int
    values: np.ndarray
    sign: np.ndarray


def digits_of(problem: Problem) -> Digits:
    """Binary digits where the weights of each channel allow it, else ternary."""
    flat = problem.weights.reshape(problem.outputs, -1)
    sign = np.where((flat < 0).any(1), -1, 1).astype(np.int64)
    if (flat != 0).all():
        return Digits("TABLE_BINARY", 2, (flat > 0).astype(np.uint8), np.ones_like(sign))
    if not ((flat < 0).any(1) & (flat > 0).any(1)).any():
        return Digits("TABLE_BOOL", 2, (flat != 0).astype(np.uint8), sign)
    return Digits("TABLE_TERNARY", 3, (flat % 3).astype(np.uint8), np.ones_like(sign))


@dataclass(frozen=True)
class Plan:
    """A problem with a schedule. lane, wide: bytes of a table's lane and of an accumulator's. group: inputs of a table;
    chunk: tables at a time; vectors: vectors of a tile."""

    problem: Problem
    digits: Digits
    target: Target
    lane: int
    wide: int
    group: int
    chunk: int
    vectors: int

    @property
    def entries(self) -> int:
        return self.digits.radix**self.group

    @property
    def groups(self) -> int:
        return -(-self.problem.inputs // self.group)

    @property
    def channels(self) -> int:
        """Output channels of one convolution group."""
        return self.problem.outputs // self.problem.group

    @property
    def scratch(self) -> int:
        """Bytes that table_scratch of table.h divides: tables, accumulators, results of some channels, a mask."""
        sums = self.channels * self.wide // self.lane
        results = (STAGED + 1) * self.problem.bytes_out
        return self.target.vector_bytes * self.vectors * (self.chunk * self.entries + sums + results)

    @property
    def tile_lanes(self) -> int:
        """Pixels of a tile."""
        return self.vectors * self.target.vector_bytes // self.lane

    @property
    def steps(self) -> int:
        return self.problem.levels.steps if self.problem.levels else 0

    @property
    def thresholds(self) -> int:
        """Comparisons of every sum."""
        return self.problem.levels.thresholds.shape[1] if self.problem.levels else 0

    def schedule(self) -> Schedule:
        """lane, wide: bytes of a lane of a table, and of an accumulator. group: inputs of a table. chunk: tables
        that are built at a time. vectors: of a tile."""
        return {name: getattr(self, name) for name in ("lane", "wide", "group", "chunk", "vectors")}

    def cost(self, costs: Mapping[str, float]) -> float:
        """Predicted cycles: every vector of a tile is computed in full, so small maps waste lanes and pay for it.

        Costs of one vector: `row_store` an entry of a table, `build` the rest of a table, `look_up` one of two or more
        vectors that share an index (`look_up_single`: of one; `look_up_l2`: from tables beyond L1), `widen` a sum, once
        a chunk, `level` a comparison, `value` a sum stored as it is, for each lane, `store` the rest of an output.
        """
        problem = self.problem
        tiles = -(-problem.lanes(problem.pitch()) // self.tile_lanes)
        chunks, parts = -(-self.groups // self.chunk), self.wide // self.lane
        fits = self.chunk * self.entries * self.vectors * self.target.vector_bytes <= self.target.l1
        look_up = costs["look_up_l2" if not fits else "look_up" if self.vectors > 1 else "look_up_single"]
        build = problem.group * self.groups * (self.entries * costs["row_store"] + costs["build"])
        sums = problem.outputs * (self.groups * look_up + chunks * parts * costs["widen"])
        finish = costs["store"] + (
            self.thresholds * parts * costs["level"]
            if self.steps
            else costs["value"] * self.target.vector_bytes / self.lane
        )
        return tiles * self.vectors * (build + sums + problem.outputs * finish)


class Planner:
    """Enumerates the plans of a problem. Results are exact for every plan it returns."""

    def __init__(self, problem: Problem, target: Target) -> None:
        self.problem, self.target = problem, target
        self.digits = digits_of(problem)

    @cached_property
    def _signs_before(self) -> tuple[np.ndarray, np.ndarray]:
        """How many weights before each are positive, and negative, as tables sum them: int32 [O, inputs + 1]."""
        flat = self.problem.weights.reshape(self.problem.outputs, -1) * self.digits.sign[:, None]
        plus, minus = (np.zeros((len(flat), flat.shape[1] + 1), np.int32) for _ in range(2))
        np.cumsum(flat > 0, axis=1, out=plus[:, 1:])
        np.cumsum(flat < 0, axis=1, out=minus[:, 1:])
        return plus, minus

    def wide(self, lane: int) -> int:
        """The narrowest accumulator for which every sum fits; narrow sums may wrap around on the way."""
        return next(size for size in (1, 2, 4) if size >= lane and self.problem.largest + 1 < 2 ** (8 * size - 1))

    def longest_chunk(self, lane: int, group: int) -> int:
        """The most tables whose sum fits a lane for every channel and chunk; 0 when not even one does."""
        if self.wide(lane) == lane:
            return MAX_CHUNK
        inputs, limit = self.problem.inputs, 2 ** (8 * lane - 1)
        lo, hi = self.problem.lo, self.problem.hi
        for chunk in range(min(MAX_CHUNK, -(-inputs // group)), 0, -1):
            cuts = [*range(0, inputs, chunk * group), inputs]
            plus, minus = (np.diff(before[:, cuts], axis=1) for before in self._signs_before)
            if (lo * plus - hi * minus).min() >= -limit and (hi * plus - lo * minus).max() < limit:
                return chunk
        return 0

    def plans(self) -> list[Plan]:
        """All sensible plans, the cheapest first."""
        found = []
        for lane in (1, 2):
            if lane == 1 and self.problem.unsigned and self.problem.hi > 127:
                continue
            for group in range(1, min(MAX_GROUP[self.digits.radix], self.problem.inputs) + 1):
                longest = self.longest_chunk(lane, group)
                found += [p for v in (1, 2, MAX_VECTORS) if (p := self._plan(lane, group, longest, v)) is not None]
        return sorted(found, key=lambda plan: plan.cost(self.target.costs[NAME]))

    def _plan(self, lane: int, group: int, longest: int, vectors: int) -> Plan | None:
        row = vectors * self.target.vector_bytes
        fits = int(self.target.l1 * TABLE_SHARE_OF_L1) // (self.digits.radix**group * row)
        most = min(longest, max(fits, 1))
        if most == 0 or row > MAX_TILE_BYTES or (fits == 0 and group > 1):
            return None
        groups = -(-self.problem.inputs // group)
        chunks = -(-groups // most)
        chunk = -(-groups // chunks)  # chunks of equal size
        return Plan(self.problem, self.digits, self.target, lane, self.wide(lane), group, chunk, vectors)
