"""Activations and weights of {-1, 0, 1}: bits of channels side by side, ones counted.

Source: docs/kernels-avx512.md, "A"; counting the ones of an exclusive or is XNOR-Net's (Rastegari et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.bit_rows import BitRowsLayout
from .....ir.kn.bits import BitsLayout
from ...engine import Bits, Constants, Cost, Kernel, KernelCode, LayoutRequest, Schedule
from ...epilogue import Refused, epilogue_reads
from ...target import Target
from .emit import emit_popcount, epilogue_of, offset_of
from .forms import Form
from .plan import NAME, Plan, plans
from .problem import read_problem


class Popcount:
    """The protocol of backends/c/engine.py; see popcount.h for the algorithm."""

    name = NAME
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            problem = read_problem(kernel)
            plan = plans(problem, kernel, target)[0]
            if plan.levels is None:
                epilogue_of(kernel, plan).build(offset_of(problem), Constants())
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [plan.schedule() for plan in plans(read_problem(kernel), kernel, target)]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return _plan(kernel, schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        plan = _plan(kernel, schedule, target)
        problem, levels = plan.problem, plan.levels
        request = Bits(problem.axis, 1 if problem.channels % 64 == 0 else problem.groups)
        if levels is None:
            return epilogue_reads(kernel, problem.x, request, problem.grid)
        selector = Bits(problem.out_axis)
        return [request if v is problem.x else selector for v in kernel.op.block.args]

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        problem = _plan(kernel, schedule, target).problem
        return problem.levels is None or problem.out_axis == 1

    def writes_bits(
        self, kernel: Kernel, schedule: Schedule, target: Target, layout: BitsLayout | BitRowsLayout
    ) -> bool:
        plan = _plan(kernel, schedule, target)
        return plan.levels is not None and layout == BitsLayout.of(plan.problem.out_axis)

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_popcount(kernel, _plan(kernel, kernel.op.schedule_values, target))


def _plan(kernel: Kernel, schedule: Schedule, target: Target) -> Plan:
    form = Form.of(read_problem(kernel))
    return Plan(form, target, int(schedule["pixels"]), int(schedule["vectors"]))


ENGINE = Popcount()
