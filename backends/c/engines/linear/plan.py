"""Choices of the linear engine: register tile and groups of rows; and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .....ir.kn.buffers import ALIGNMENT, round_up
from ...dense.plan import DEFINES as DENSE
from ...dense.plan import ENOUGH_JOBS, Panels
from ...dense.problem import MatMul
from ...engine import Schedule
from ...scratch import Scratch
from ...target import Target
from .weights import Fields, Inputs

NAME = "linear"
MAX_ROWS, MAX_COLUMNS, RUN = 8, 4, 64
"""Rows and vectors of columns of the largest tile; columns that are finished together, at most."""
DEFINES = {**DENSE, "LINEAR_ROWS": MAX_ROWS, "LINEAR_COLUMNS": MAX_COLUMNS, "LINEAR_RUN": RUN}
SPARE = 5
"""Registers beside the sums: inputs, packed weights, fields, the mask, a product."""
WORTH_SHARING = 1 << 20
"""Smaller products, in multiply-adds, are done before another thread has begun."""
SETS = 512
"""Rows of x that lie a multiple of so many bytes apart meet in few cache sets."""


@dataclass(frozen=True)
class Cell:
    """The multiply-accumulate of a tile. kind: its `enum dense_cell_kind`. ops: its vector operations. depth: how many
    quads of inputs may be added up before the sums must be widened."""

    kind: str
    ops: int
    depth: int

    def quad_bytes(self, target: Target) -> int:
        """linear_quad_bytes of linear.h."""
        return target.vector_bytes if self.kind == "DENSE_U8_QUAD" else 4

    @classmethod
    def of(cls, target: Target, inputs: Inputs, fields: Fields) -> Cell:
        for name in ("dot_u8", "dot_i8"):
            if (dot := target.instructions.get(name)) is not None:
                return cls(f"DENSE_{name[-2:].upper()}_DOT", dot.ops, 1 << 30)
        bounds = ((2**15, -inputs.lo), (2**15 - 1, inputs.hi))
        quads = [bound // (2 * fields.largest * value) for bound, value in bounds if value > 0]
        return cls("DENSE_U8_QUAD", 2 if "madd_u8" in target.instructions else 7, min(quads, default=1 << 30))


@dataclass(frozen=True)
class Plan:
    """The fields of `struct linear` and of its tiles, and the bytes of scratch."""

    problem: MatMul
    fields: Fields
    inputs: Inputs
    cell: Cell
    target: Target
    panels: Panels
    columns: int
    column_panels: int
    steps: int
    depth: int
    pitch: int
    group_panels: int
    span: int
    share_rows: bool
    grain: int
    x: int
    totals: int
    cells: int
    sums: int
    scratch: int

    @classmethod
    def of(cls, problem: MatMul, fields: Fields, inputs: Inputs, tallest: int, columns: int, target: Target) -> Plan:
        panels = Panels.of(problem.rows, tallest)
        cell = Cell.of(target, inputs, fields)
        quads = 8 // fields.bits // columns
        steps = -(-problem.inputs // (4 * quads))
        step_bytes = panels.tall * quads * cell.quad_bytes(target)
        blocks = -(-steps // max(1, min(cell.depth // quads, target.l1 // 2 // step_bytes)))
        depth = -(-steps // blocks)
        pitch = round_up(steps * quads * 4, ALIGNMENT)
        pitch += ALIGNMENT if pitch % SETS == 0 else 0
        lanes = columns * target.lanes(np.int32)
        column_panels = -(-problem.columns // lanes)
        grain = 1 if problem.macs >= WORTH_SHARING else column_panels
        group_panels = min(panels.panels, max(1, target.l2 // 2 // (pitch * panels.tall)))
        share_rows = column_panels // grain < ENOUGH_JOBS and panels.panels > column_panels // grain
        if share_rows:
            group_panels = min(group_panels, -(-panels.panels // ENOUGH_JOBS))
        rows = min(problem.rows, group_panels * panels.tall)
        span = max(1, min(column_panels, target.l2 // 4 // (rows * lanes * 4)))
        scratch = Scratch.of(x=rows * pitch, totals=rows * 4, cells=depth * step_bytes, sums=rows * span * lanes * 4)
        return cls(
            problem, fields, inputs, cell, target, panels, columns, column_panels, steps, depth, pitch, group_panels,
            span, share_rows, grain, *scratch.places,
        )  # fmt: skip

    @property
    def lanes(self) -> int:
        """Columns of a panel."""
        return self.columns * self.target.lanes(np.int32)

    def schedule(self) -> Schedule:
        """rows, columns: of a register tile, columns in vectors."""
        return {"rows": self.panels.tall, "columns": self.columns}

    def cost(self, costs: Mapping[str, float]) -> float:
        """One sample: the tiles, or the stream of weights (each `byte`) where it takes longer; to `pack` each input and
        to `spread` it over a vector for each span; to `finish` a result and the rest of a `run` of them; the rest of
        a `kernel`."""
        problem, lanes = self.problem, self.lanes
        tiles = sum(self._tile_cycles(rows, costs) for rows in self.panels.sizes()) * self.column_panels
        weights = self.column_panels * self.steps * self.target.vector_bytes
        groups = -(-self.panels.panels // self.group_panels)
        if weights > self.target.l2 // 2:
            tiles = max(tiles, groups * weights * costs["byte"])
        spans = -(-self.column_panels // self.span)
        pack = problem.rows * problem.inputs * (costs["pack"] + spans * costs["spread"])
        runs = -(-self.column_panels * lanes // RUN)
        finish = problem.rows * (runs * costs["run"] + self.column_panels * lanes * costs["finish"])
        return tiles + pack + finish + costs["kernel"]

    def _tile_cycles(self, rows: int, costs: Mapping[str, float]) -> float:
        """A step takes its vector operations, `op`, or its loads, `load`; a block of steps has sums to `widen` and
        takes `block` beside."""
        fields = 8 // self.fields.bits
        quads = fields // self.columns
        macs = rows * fields
        ops = macs * self.cell.ops + 2 * fields - 1
        loads = rows * quads + 2
        step = max(ops * costs["op"], loads * costs["load"])
        blocks = -(-self.steps // self.depth)
        return self.steps * step + blocks * (rows * self.columns * costs["widen"] + costs["block"])


def plans(problem: MatMul, fields: Fields, inputs: Inputs, target: Target) -> list[Plan]:
    """Register tiles: rows of x by vectors of columns. The more of the one, the fewer of the other."""
    found = list[Plan]()
    for columns in (MAX_COLUMNS, 2, 1):
        tallest = min(MAX_ROWS, (target.registers - SPARE) // columns, problem.rows)
        if columns == 1 or problem.columns > (columns // 2) * target.lanes(np.int32):
            found.append(Plan.of(problem, fields, inputs, tallest, columns, target))
    return found
