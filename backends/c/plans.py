"""What engines say of the kernels of a program: asked once, looked up afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import StringAttr

from ...ir.errors import IRError
from ...ir.kn.kernel import KernelOp
from ...ir.locations import describe
from ...ir.operation import to_attribute
from ...ir.weights import WeightStore
from .engine import Engine, Kernel, Plan
from .refusal import Refusal
from .target import Target


class Plans:
    """Of every kernel the plans of every engine, or why it refuses.

    engines: all that a kernel may have, in order of preference. measured: cycles of the plans that were measured.
    A kernel's operations do not change once it has been asked about; its layouts, engine, schedule and name may.
    """

    def __init__(self, target: Target, engines: Sequence[Engine]) -> None:
        self.target, self.engines = target, tuple(dict.fromkeys(engines))
        self.measured: dict[Plan, float] = {}
        self._kernels: dict[KernelOp, Kernel] = {}
        self._found: dict[tuple[KernelOp, str], Sequence[Plan] | Refusal] = {}

    def kernel(self, op: KernelOp, weights: WeightStore) -> Kernel:
        """A kernel as engines see it."""
        if op not in self._kernels:
            self._kernels[op] = Kernel(op, weights)
        return self._kernels[op]

    def of(self, op: KernelOp, weights: WeightStore, engine: Engine) -> Sequence[Plan] | Refusal:
        """The plans of an engine for a kernel, or why it has none."""
        key = op, engine.name
        if key not in self._found:
            self._found[key] = engine.plans(self.kernel(op, weights), self.target)
        return self._found[key]

    def chosen(self, op: KernelOp, weights: WeightStore) -> Plan:
        """The plan that a kernel's engine and schedule name. Raises IRError where there is none."""
        name, schedule = op.engine.data, op.schedule_values
        engine = next((engine for engine in self.engines if engine.name == name), None)
        if engine is None:
            raise IRError(f"unknown engine '{name}'", where=describe(op))
        found = self.of(op, weights, engine)
        if isinstance(found, Refusal):
            raise IRError(f"engine '{name}' refuses this kernel: {found.reason}", where=describe(op))
        plan = next((plan for plan in found if plan.schedule == schedule), None)
        if plan is None:
            known = ", ".join(str(plan.schedule) for plan in found)
            raise IRError(
                f"engine '{name}' has no schedule {schedule} for this kernel, only {known}", where=describe(op)
            )
        return plan

    def forget(self, op: KernelOp) -> None:
        """Drops what is known of a kernel that is in no program any longer."""
        self._kernels.pop(op, None)
        for engine in self.engines:
            self._found.pop((op, engine.name), None)


def choose(op: KernelOp, plan: Plan) -> None:
    """Writes into a kernel by which engine and schedule it is computed, and what is predicted."""
    op.properties |= {
        "engine": StringAttr(plan.engine),
        "schedule": KernelOp.schedule_attribute(plan.schedule),
        "cycles": to_attribute(round(plan.cycles)),
    }
