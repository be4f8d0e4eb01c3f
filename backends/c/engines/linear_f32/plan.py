"""Choices of the linear_f32 engine: form of the weights, register tile, blocks; and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...dense.plan import DEFINES as DENSE
from ...dense.plan import ENOUGH_JOBS, Panels
from ...engine import Schedule
from ...scratch import Scratch
from ...target import Target
from .problem import TABLE, TABLES, Form, Problem

NAME = "linear_f32"
MAX_ROWS, MAX_VECTORS, RUN = 8, 8, 128
"""Rows and vectors of columns of the largest tile; columns that are finished together, at most."""
DEFINES = {
    **DENSE, "LINEAR_F32_ROWS": MAX_ROWS, "LINEAR_F32_VECTORS": MAX_VECTORS, "LINEAR_F32_RUN": RUN,
    "LINEAR_F32_TABLE": TABLE, "LINEAR_F32_GROUP": max(form.group for form in TABLES.values()),
}  # fmt: skip
GROUP_ROWS = 32
"""Rows whose sums are in scratch together: so many that weights from memory cost little beside."""
WORTH_SHARING = 1 << 20
"""Smaller products, in multiply-adds, are done before another thread has begun."""
PERMUTE, CHOOSE = "permute_f32", "choose_f32"
SPARE = 6
"""Registers that fields take beside the sums; packed weights that find no place are read from memory again."""
LATENCY = 4.0
"""Cycles of an addition that waits for the one before."""


@dataclass(frozen=True)
class Plan:
    """The fields of `struct linear_f32` and of its tiles, and the bytes of scratch."""

    problem: Problem
    form: Form
    target: Target
    panels: Panels
    vectors: int
    column_panels: int
    steps: int
    depth: int
    group_panels: int
    span: int
    share_rows: bool
    grain: int
    sums: int
    scratch: int

    @classmethod
    def of(cls, problem: Problem, form: Form, tallest: int, vectors: int, target: Target) -> Plan:
        matmul, lanes = problem.matmul, vectors * target.lanes(np.float32)
        panels = Panels.of(matmul.rows, tallest)
        column_panels, steps = -(-matmul.columns // lanes), -(-matmul.inputs // form.inputs)
        step_bytes = panels.tall * form.slots * form.cell_bytes
        cache = target.l2 // 4 if panels.count == 1 else target.l1 * 3 // 4
        blocks = -(-steps // max(1, cache // step_bytes))
        depth = -(-steps // blocks)
        grain = 1 if matmul.macs >= WORTH_SHARING else column_panels
        group_panels = min(panels.panels, max(1, GROUP_ROWS // panels.tall))
        share_rows = column_panels // grain < ENOUGH_JOBS and panels.panels > column_panels // grain
        if share_rows:
            group_panels = min(group_panels, -(-panels.panels // ENOUGH_JOBS))
        rows = min(matmul.rows, group_panels * panels.tall)
        span = max(1, min(column_panels, target.l2 // 2 // (rows * lanes * 4)))
        scratch = Scratch.of(cells=depth * step_bytes, sums=rows * span * lanes * 4)
        return cls(
            problem, form, target, panels, vectors, column_panels, steps, depth, group_panels, span, share_rows, grain,
            scratch.offsets["sums"], scratch.bytes,
        )  # fmt: skip

    @property
    def lanes(self) -> int:
        """Columns of a panel."""
        return self.vectors * self.target.lanes(np.float32)

    def schedule(self) -> Schedule:
        """form: how weights are packed. rows, vectors: of a register tile."""
        return {"form": self.form.name, "rows": self.panels.tall, "vectors": self.vectors}

    def cost(self, costs: Mapping[str, float]) -> float:
        """One sample: the tiles, or the stream of weights (each `byte`) where it takes longer; each vector of a `cell`,
        for every span; to `finish` a vector of results; the rest of a `kernel`."""
        matmul = self.problem.matmul
        tiles = sum(self._tile_cycles(rows, costs) for rows in self.panels.sizes()) * self.column_panels
        weights = self.column_panels * self.steps * self.vectors * self.target.vector_bytes
        groups = -(-self.panels.panels // self.group_panels)
        if weights > self.target.l2 // 2:
            tiles = max(tiles, groups * weights * costs["byte"])
        spans = -(-self.column_panels // self.span)
        cells = matmul.rows * self.steps * self.form.slots * spans
        vectors = self.form.group * TABLE / self.target.lanes(np.float32) if self.form.tables else 1
        finish = matmul.rows * self.column_panels * self.vectors * costs["finish"]
        return tiles + cells * vectors * costs["cell"] + finish + costs["kernel"]

    def _tile_cycles(self, rows: int, costs: Mapping[str, float]) -> float:
        """A slot of a step takes its operations: `op` for each that makes a weight or an index of a packed vector, and
        for each row `look_up` or `mac`, its sum; `load` for what it reads. A block of steps takes `block`, and `sum`
        for each vector of sums."""
        form, vectors = self.form, self.vectors
        add = costs["look_up"] if form.tables else costs["mac"]
        loads = rows * (TABLE / self.target.lanes(np.float32) if form.tables else 1)
        ops = form.chosen if form.chosen and CHOOSE in self.target.instructions else form.ops
        slot = vectors * (ops * costs["op"] + rows * add) + loads * costs["load"]
        blocks = -(-self.steps // self.depth)
        return self.steps * form.slots * max(slot, LATENCY) + blocks * (rows * vectors * costs["sum"] + costs["block"])


def plans(problem: Problem, target: Target) -> list[Plan]:
    """Register tiles, rows by vectors of columns, the cheapest first."""
    form = problem.form("tables") if PERMUTE in target.instructions else problem.fields
    columns, found = -(-problem.matmul.columns // target.lanes(np.float32)), list[Plan]()
    for vectors in (MAX_VECTORS, 4, 2, 1):
        held = 2 if form.tables else 0  # registers of a row beside its sums
        spare = vectors + 2 if form.tables else SPARE
        tallest = min(MAX_ROWS, (target.registers - spare) // (vectors + held), problem.matmul.rows)
        if tallest >= 1 and (vectors == 1 or columns > vectors // 2):
            found.append(Plan.of(problem, form, tallest, vectors, target))
    return sorted(found, key=lambda plan: plan.cost(target.costs[NAME]))
