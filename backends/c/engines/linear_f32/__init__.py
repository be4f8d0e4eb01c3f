"""Matrix products of floats with ternary and binary weights: weights stay packed, few inputs' sums are looked up.

A product of few rows uses every weight a few times only, so that reading the weights takes the time. Here they are a
tenth of what floats take. Where the target permutes a table in registers, the sums of three ternary or five binary
weights are looked up at once; elsewhere a shift and a mask make a float of a weight, for all rows of a tile.

Weights of two scales (trained ternary quantization) are tables like any other. Sums are float32 sums in another order
than the interpreter's; zero weights count as factors, so that what is not finite becomes NaN as it does there.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import Constants, Cost, Dense, Engine, Kernel, KernelCode, LayoutRequest, Schedule
from ...epilogue import Epilogue, Refused
from ...target import Target
from .emit import emit_linear
from .plan import Plan, schedules
from .problem import read_problem


class LinearF32:
    """The protocol of backends/c/engine.py; see linear_f32.h for the algorithm."""

    name = "linear_f32"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            problem = read_problem(kernel)
            Epilogue(kernel, problem.matmul.root, problem.matmul.grid, 1).build(problem.bias, Constants())
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return schedules(read_problem(kernel), target)

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return _plan(kernel, schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        return [Dense()] * len(kernel.inputs)

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return False

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_linear(kernel, _plan(kernel, kernel.op.schedule_values, target))


def _plan(kernel: Kernel, schedule: Schedule, target: Target) -> Plan:
    return Plan.of(read_problem(kernel), schedule, target)


ENGINE: Engine = LinearF32()
