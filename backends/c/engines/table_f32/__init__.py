"""The float table engine: float convolutions with ternary and binary weights by look-ups, taps sharing their tables.

Source: the tables of the table engine; that the taps of a filter read one table at shifted places is our own step, and
what makes tables pay for as few as 64 output channels in float. Weights of two scales (trained ternary quantization,
Zhu et al. 2017) cost no more: the scales are in the tables.

Sums are float32 sums in another order than the interpreter's, and zero weights add nothing, also to what is not finite.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import Cost, Kernel, KernelCode, LayoutRequest, Schedule
from ...epilogue import Refused
from ...target import Target
from ..table.convolution import epilogue_requests
from .emit import emit_table
from .plan import plan_of, plans
from .problem import read_problem

CANDIDATES = 3


class TableF32Engine:
    """The protocol of backends/c/engine.py; see plan.py for the choices and table_f32.h for the algorithm."""

    name = "table_f32"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            read_problem(kernel)
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [plan.schedule() for plan in plans(read_problem(kernel), target)[:CANDIDATES]]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return plan_of(read_problem(kernel), schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        return epilogue_requests(kernel, read_problem(kernel))

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return True

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_table(kernel, plan_of(read_problem(kernel), kernel.op.schedule_values, target))


ENGINE = TableF32Engine()
