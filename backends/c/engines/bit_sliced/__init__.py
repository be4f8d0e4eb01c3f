"""The bit-sliced engine: ternary and binary activations by ternary and binary weights, pixels in the bits of vectors.

Source: docs/kernels.md, "Bit-sliced with group tables"; bit-serial counting with carry-save adders is Harley-Seal's
population count (Mula, Kurz, Lemire 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.types import BIPOLAR, element_of
from ...engine import Cost, Kernel, KernelCode, LayoutRequest, Schedule
from ...target import Target
from ..table.problem import Refused, layout_requests, read_problem
from .emit import emit_bits
from .plan import Plan, plans


class BitSlicedEngine:
    """The protocol of backends/c/engine.py; see plan.py for the choices and bit_sliced.h for the algorithm."""

    name = "bit_sliced"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            _plans(kernel, target)
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [plan.schedule() for plan in _plans(kernel, target)]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return _plan(kernel, schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        return layout_requests(kernel)

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return True

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_bits(kernel, _plan(kernel, kernel.op.schedule_values, target))


def _plans(kernel: Kernel, target: Target) -> list[Plan]:
    problem = read_problem(kernel)
    return plans(problem, element_of(problem.root.x) == BIPOLAR, target)


def _plan(kernel: Kernel, schedule: Schedule, target: Target) -> Plan:
    first = _plans(kernel, target)[0]
    return Plan(first.problem, target, first.bipolar, int(schedule["chunk"]))


ENGINE = BitSlicedEngine()
