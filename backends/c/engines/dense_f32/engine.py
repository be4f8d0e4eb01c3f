"""The protocol of backends/c/engine.py for engines that compute dense products in register tiles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ...engine import Constants, Cost, Dense, Kernel, KernelCode, LayoutRequest, Schedule
from ...epilogue import Epilogue, Refused, epilogue_reads
from ...target import Target
from .emit import Packer, emit_conv, emit_matmul
from .plan import Cell, ConvPlan, MatMulPlan, cost, plan_conv, plan_matmul, tile_schedules
from .problem import Conv, MatMul, Problem, read_problem


class DenseEngine(ABC):
    """Convolutions and matrix products over one or several kinds of cells."""

    name: str

    @abstractmethod
    def cells(self, problem: Problem, target: Target) -> list[Cell]:
        """The cells that compute the problem exactly, best first. Raises Refused where there is none."""

    @abstractmethod
    def packer(self, kernel: Kernel, problem: Problem, cell: Cell) -> Packer: ...

    # -- the protocol ---------------------------------------------------------------------------------------------

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            problem = read_problem(kernel)
            cell = self.cells(problem, target)[0]
            Epilogue(kernel, problem.root, problem.grid, 1).build(
                self.packer(kernel, problem, cell).offset, Constants()
            )
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        problem = read_problem(kernel)
        return [
            {"cell": cell.name.removeprefix("DENSE_").lower(), **tile}
            for cell in self.cells(problem, target)
            for tile in tile_schedules(problem, cell, target)
            if _has_plan(problem, cell, tile, target)
        ]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        problem, cell = self._read(kernel, schedule, target)
        return cost(problem, cell, schedule, target, _plan(problem, cell, schedule, target).scratch)

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        problem = read_problem(kernel)
        return epilogue_reads(kernel, problem.x, Dense(), problem.grid)

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return isinstance(read_problem(kernel), Conv)

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        schedule: Schedule = kernel.op.schedule_values
        problem, cell = self._read(kernel, schedule, target)
        plan, packer = _plan(problem, cell, schedule, target), self.packer(kernel, problem, cell)
        if isinstance(plan, ConvPlan):
            return emit_conv(kernel, plan, packer)
        return emit_matmul(kernel, plan, packer, target.lanes(np.int32))

    def _read(self, kernel: Kernel, schedule: Schedule, target: Target) -> tuple[Problem, Cell]:
        problem = read_problem(kernel)
        wanted = f"DENSE_{schedule['cell']}".upper()
        return problem, next(cell for cell in self.cells(problem, target) if cell.name == wanted)


def _plan(problem: Problem, cell: Cell, schedule: Schedule, target: Target) -> ConvPlan | MatMulPlan:
    if isinstance(problem, MatMul):
        return plan_matmul(problem, cell, schedule, target)
    return plan_conv(problem, cell, schedule, target)


def _has_plan(problem: Problem, cell: Cell, schedule: Schedule, target: Target) -> bool:
    try:
        _plan(problem, cell, schedule, target)
    except Refused:
        return False
    return True


def pack_function(symbol: str, call: str) -> str:
    """C of the function that fills cells; `call` uses to, map, first, channels and count."""
    return (
        f"static void {symbol}_pack(dense_cell *to, const void *map, int64_t first, int channels, int count) {{\n"
        f"    {call}\n}}\n"
    )
