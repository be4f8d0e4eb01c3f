"""Chooses engines again where maps could lie in bits, once the kernels before and behind are known.

A kernel alone is best computed by the engine that is fastest at it; but where its neighbours hand over bits, an engine
that wants bytes has to win more than the conversions cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from ....ir.kn.bits import planes_in_bits
from ....ir.kn.kernel import KernelOp
from ....ir.operation import to_attribute
from ....ir.program import Program
from ....ir.types import element_of
from ....passes.base import GIVEN, Pass
from ....passes.properties import DENSE_MAPS, IN_KERNELS
from ..engine import Engine, Kernel, Schedule
from ..target import Target
from .conversions import Side, conversion_cycles


@dataclass(frozen=True)
class SettleEngines(Pass):
    """Sweeps over the kernels that read or write maps of few values until none changes.

    engines: what to choose from. fallback: engines that other kernels may have. sweeps: at most; a kernel's choice may
    change those of its neighbours, and chains settle in two or three.
    """

    name: ClassVar[str] = "settle-engines"
    requires: ClassVar = (IN_KERNELS, DENSE_MAPS)
    ensures: ClassVar = (IN_KERNELS, DENSE_MAPS)

    target: Target = field(metadata=GIVEN)
    engines: Sequence[Engine] = field(metadata=GIVEN)
    fallback: Sequence[Engine] = field(default=(), metadata=GIVEN)
    sweeps: int = 4

    @cached_property
    def by_name(self) -> dict[str, Engine]:
        return {engine.name: engine for engine in (*self.fallback, *self.engines)}

    def apply(self, program: Program) -> bool:
        kernels = [op for op in program.ops if isinstance(op, KernelOp) and _few_values(op)]
        changed = False
        for _ in range(self.sweeps):
            moved = [op for op in kernels if self._choose(program, op)]
            changed |= bool(moved)
            if not moved:
                break
        return changed

    def _choose(self, program: Program, op: KernelOp) -> bool:
        """Whether another engine or schedule is better than the present one."""
        view = Kernel(op, program.weights)
        present = (op.engine.data, op.schedule_values)
        best = self._cycles(program, view, self.by_name[present[0]], present[1])
        found: tuple[Engine, Schedule] | None = None
        for engine in self.engines:
            if engine.accepts(view, self.target):
                continue
            for schedule in engine.schedules(view, self.target):
                cycles = self._cycles(program, view, engine, schedule)
                if cycles < best:
                    best, found = cycles, (engine, schedule)
        if found is None:
            return False
        engine, schedule = found
        op.properties["engine"] = to_attribute(engine.name)
        op.properties["schedule"] = KernelOp.schedule_attribute(schedule)
        op.properties["cycles"] = to_attribute(round(engine.cost(view, schedule, self.target).cycles))
        return True

    def _cycles(self, program: Program, view: Kernel, engine: Engine, schedule: Schedule) -> float:
        own = Side(engine, view, schedule, self.target)
        around = conversion_cycles(own, view.op, program.weights, self.by_name, self.target)
        return engine.cost(view, schedule, self.target).cycles + around


def _few_values(op: KernelOp) -> bool:
    return any(planes_in_bits(element_of(value)) for value in (*op.operands, *op.results))
