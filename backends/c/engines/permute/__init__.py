"""8-bit activations, weights of {-1, 0, 1}: sums of a few inputs in a register, looked up by a permutation.

Source: docs/kernels-avx512.md, "E"; look-ups of shared sums: see the table engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import Constants, Cost, Dense, Kernel, KernelCode, LayoutRequest, Schedule
from ...epilogue import Refused, epilogue_reads
from ...target import Target
from .emit import emit_permute, epilogue_of, offset_of
from .plan import NAME, Plan, plans
from .problem import read_problem

NEEDED = ("permute_i16", "madd_u8")


class Permute:
    """The protocol of backends/c/engine.py; see permute.h for the algorithm."""

    name = NAME
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        if missing := [name for name in NEEDED if name not in target.instructions]:
            return f"target {target.name} has no {missing[0]}"
        try:
            problem = read_problem(kernel)
            plan = plans(problem, target)[0]
            epilogue_of(kernel, plan).build(offset_of(problem), Constants())
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [plan.schedule() for plan in plans(read_problem(kernel), target)]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return _plan(kernel, schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        conv = read_problem(kernel).conv
        return epilogue_reads(kernel, conv.x, Dense(), conv.grid)

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return True

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_permute(kernel, _plan(kernel, kernel.op.schedule_values, target))


def _plan(kernel: Kernel, schedule: Schedule, target: Target) -> Plan:
    return Plan(read_problem(kernel), target, int(schedule["pixels"]), int(schedule["vectors"]))


ENGINE = Permute()
