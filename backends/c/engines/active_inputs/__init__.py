"""Few-valued activations and weights: the weights of inputs that are not zero are added, outputs in lanes.

Source: docs/kernels-avx512.md, "C".
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.bit_rows import BitRowsLayout
from .....ir.kn.bits import BitsLayout
from ...engine import Bits, Constants, Cost, Kernel, KernelCode, LayoutRequest, Schedule
from ...epilogue import Refused, epilogue_reads
from ...target import Target
from ..popcount.emit import offset_of
from .emit import emit_active_inputs, epilogue_of
from .forms import read_form
from .plan import NAME, Plan, plans


class ActiveInputs:
    """The protocol of backends/c/engine.py; see active_inputs.h for the algorithm."""

    name = NAME
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            plan = plans(read_form(kernel), kernel, target)[0]
            if plan.problem.levels is None:
                epilogue_of(kernel, plan).build(offset_of(plan.problem), Constants())
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [plan.schedule() for plan in plans(read_form(kernel), kernel, target)]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return _plan(kernel, schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        problem = _plan(kernel, schedule, target).problem
        if problem.levels is None:
            return epilogue_reads(kernel, problem.x, Bits(problem.axis), problem.grid)
        selector = Bits(problem.out_axis)
        return [Bits(problem.axis) if v is problem.x else selector for v in kernel.op.block.args]

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        problem = _plan(kernel, schedule, target).problem
        return problem.levels is None or problem.out_axis == 1

    def writes_bits(
        self, kernel: Kernel, schedule: Schedule, target: Target, layout: BitsLayout | BitRowsLayout
    ) -> bool:
        problem = _plan(kernel, schedule, target).problem
        return problem.levels is not None and layout == BitsLayout.of(problem.out_axis)

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_active_inputs(kernel, _plan(kernel, kernel.op.schedule_values, target))


def _plan(kernel: Kernel, schedule: Schedule, target: Target) -> Plan:
    return Plan(read_form(kernel), target, int(schedule["bytes"]), int(schedule["words"]))


ENGINE = ActiveInputs()
