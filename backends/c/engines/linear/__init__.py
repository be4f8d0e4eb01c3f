"""Matrix products with weights of {-1, 0, 1} on 8-bit inputs: 1 or 2 bits a weight, unpacked in registers.

A product of few rows uses every weight a few times only, so that reading the weights takes the time. Here they stay
packed until a register holds them, and all rows of a tile share what is unpacked.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import Constants, Cost, Dense, Engine, Kernel, KernelCode, LayoutRequest, Schedule
from ...epilogue import Epilogue, Refused
from ...target import Target
from ..dense_f32.problem import MatMul, read_problem
from .emit import emit_linear
from .plan import Plan, schedules
from .weights import Inputs, read_fields


class Linear:
    """The protocol of backends/c/engine.py; see linear.h for the algorithm."""

    name = "linear"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            problem = _problem(kernel)
            fields = read_fields(problem.weights)
            offset = fields.offset(kernel, problem, Inputs.of(problem))
            Epilogue(kernel, problem.root, problem.grid, 1).build(offset, Constants())
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        problem = _problem(kernel)
        return schedules(problem, read_fields(problem.weights).bits, target)

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return _plan(kernel, schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        return [Dense()] * len(kernel.inputs)

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return False

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_linear(kernel, _plan(kernel, kernel.op.schedule_values, target))


def _problem(kernel: Kernel) -> MatMul:
    problem = read_problem(kernel)
    if not isinstance(problem, MatMul):
        raise Refused("want a matrix product")
    return problem


def _plan(kernel: Kernel, schedule: Schedule, target: Target) -> Plan:
    problem = _problem(kernel)
    return Plan.of(problem, read_fields(problem.weights), schedule, target)


ENGINE: Engine = Linear()
