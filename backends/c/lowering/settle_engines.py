"""Chooses engines again where maps could lie in bits, once the kernels before and after are known.

A kernel alone is best computed by the engine that is fastest at it; but where its neighbours hand over bits, an engine
that wants bytes has to win more than the conversions cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ....ir.kn.bits import planes_in_bits
from ....ir.kn.kernel import KernelOp
from ....ir.program import Program
from ....ir.types import element_of
from ....passes.base import GIVEN, Pass
from ....passes.properties import DENSE_MAPS, IN_KERNELS
from ..engine import Engine, Plan
from ..plans import Plans, choose
from ..refusal import Refusal
from .conversions import conversion_cycles


@dataclass(frozen=True)
class SettleEngines(Pass):
    """Sweeps over the kernels that read or write maps of few values until none changes.

    engines: what to choose from. sweeps: at most; a kernel's choice may change those of its neighbours, and chains
    settle in two or three.
    """

    name: ClassVar[str] = "settle-engines"
    requires: ClassVar = (IN_KERNELS, DENSE_MAPS)
    ensures: ClassVar = (IN_KERNELS, DENSE_MAPS)

    plans: Plans = field(compare=False, metadata=GIVEN)
    engines: Sequence[Engine] = field(metadata=GIVEN)
    sweeps: int = 4

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
        present = self.plans.chosen(op, program.weights)
        best, found = self._cycles(program, op, present), present
        for engine in self.engines:
            plans = self.plans.of(op, program.weights, engine)
            for plan in () if isinstance(plans, Refusal) else plans:
                if plan.cycles < best and (cycles := self._cycles(program, op, plan)) < best:
                    best, found = cycles, plan
        if found is present:
            return False
        choose(op, found)
        return True

    def _cycles(self, program: Program, op: KernelOp, plan: Plan) -> float:
        return plan.cycles + conversion_cycles(plan, op, program.weights, self.plans)


def _few_values(op: KernelOp) -> bool:
    return any(planes_in_bits(element_of(value)) for value in (*op.operands, *op.results))
