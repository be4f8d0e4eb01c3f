"""The table engine: ternary and binary convolutions by look-ups of partial sums, neighbouring pixels in the lanes.

Source: the prior work in docs/kernels.md, "Table, pixels in lanes"; the shared sums go back to UCNN (Hegde et al. 2018)
and to table look-ups for binary weights, e.g. BiQGEMM (Jeon et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import Cost, Kernel, KernelCode, LayoutRequest, Schedule
from ...target import Target
from .emit import emit_table
from .plan import Planner, plan_of
from .problem import Refused, layout_requests, read_problem

CANDIDATES = 4


class TableEngine:
    """The protocol of backends/c/engine.py; see plan.py for the choices, table_sums.h and table.h for the algorithm."""

    name = "table"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            read_problem(kernel)
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        plans = Planner(read_problem(kernel), target).plans()
        return [plan.schedule() for plan in plans[:CANDIDATES]]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return plan_of(read_problem(kernel), schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        return layout_requests(kernel)

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return True

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_table(kernel, plan_of(read_problem(kernel), kernel.op.schedule_values, target))


ENGINE = TableEngine()
