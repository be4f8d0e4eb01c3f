"""Engines that compute dense products in register tiles: one for each choice of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ....ir.kn.requests import Dense
from ..engine import Engine, Kernel, KernelCode, Plan, Schedule, any_planes, only_dense
from ..epilogue import check_epilogue, epilogue_reads
from ..refusal import Refused
from ..target import Target
from .emit import Packer, emit_conv, emit_matmul, emit_outputs
from .outputs_plan import OutputsPlan, outputs_plans
from .plan import Cell, ConvPlan, MatMulPlan, best_tiles, plan_conv, plan_matmul, predicted
from .problem import Conv, MatMul, Problem, read_problem

Cells = Callable[[Problem, Target], list[Cell]]
"""The cells that compute a problem exactly, best first. Raises Refused where there is none."""

PackerOf = Callable[[Kernel, Problem, Cell], Packer]


@dataclass(frozen=True)
class OutputTile:
    """A convolution with a schedule whose lanes are outputs."""

    plan: OutputsPlan
    target: Target
    packer: PackerOf

    def schedule(self) -> Schedule:
        """As of other tiles, whose rows are pixels here."""
        plan = self.plan
        return {"cell": plan.cell.short, "rows": plan.panels.tall, "width": plan.width, "lanes": "outputs"}

    def cost(self, costs: Mapping[str, float]) -> float:
        return self.plan.cycles(self.target, costs)


@dataclass(frozen=True)
class Tile:
    """A problem with a schedule: cells, and the rows and vectors of a register tile."""

    plan: ConvPlan | MatMulPlan
    target: Target
    rows: int
    packer: PackerOf

    def schedule(self) -> Schedule:
        """cell: what four bytes of operands hold, and how they are multiplied. rows, width: of a register tile, the
        width in vectors. lanes: `outputs` where the vectors are of outputs of a convolution, and rows are pixels."""
        return {"cell": self.plan.cell.short, "rows": self.rows, "width": self.plan.width}

    def cost(self, costs: Mapping[str, float]) -> float:
        return predicted(self.plan.problem, self.plan.cell, self.target, costs, self.rows, self.plan.width)


def dense_engine(name: str, cells: Cells, packer: PackerOf) -> Engine:
    """The engine of a name that computes convolutions and matrix products over such cells."""

    def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
        problem = read_problem(kernel)
        kinds, costs = cells(problem, target), target.costs[name]
        check_epilogue(kernel, problem.root, problem.grid, packer(kernel, problem, kinds[0]).offset)
        reads = epilogue_reads(kernel, problem.x, Dense(), problem.grid)
        writes = any_planes if isinstance(problem, Conv) else only_dense
        tiles: list[Tile | OutputTile] = [
            Tile(plan, target, rows, packer)
            for cell in kinds
            for rows, width in best_tiles(problem, cell, target, costs)
            if (plan := _plan(problem, cell, rows, width, target)) is not None
        ]
        if isinstance(problem, Conv):
            found = (plan for cell in kinds for plan in outputs_plans(problem, cell, target, costs))
            tiles += [OutputTile(plan, target, packer) for plan in found]
        return [Plan.of(name, tile, target, reads, writes, emit) for tile in tiles]

    return Engine(name, read)


def emit(kernel: Kernel, tile: Tile | OutputTile) -> KernelCode:
    packer = tile.packer(kernel, tile.plan.problem, tile.plan.cell)
    if isinstance(tile, OutputTile):
        return emit_outputs(kernel, tile.plan, packer)
    if isinstance(tile.plan, ConvPlan):
        return emit_conv(kernel, tile.plan, packer)
    return emit_matmul(kernel, tile.plan, packer, tile.target.lanes(np.int32))


def _plan(problem: Problem, cell: Cell, rows: int, width: int, target: Target) -> ConvPlan | MatMulPlan | None:
    """None where planes are too large for the cell."""
    if isinstance(problem, MatMul):
        return plan_matmul(problem, cell, rows, width, target)
    try:
        return plan_conv(problem, cell, rows, width, target)
    except Refused:
        return None


def pack_function(symbol: str, call: str) -> str:
    """C of the function that fills cells; `call` uses to, map, first, channels and count."""
    arguments = "dense_cell *to, const void *map, int64_t first, int channels, int count"
    return f"static TERCET_FLATTEN void {symbol}_pack({arguments}) {{\n    {call}\n}}\n"
