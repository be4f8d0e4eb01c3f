"""What engines say of the kernels of a program: asked once, looked up afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import StringAttr

from ...ir.errors import IRError
from ...ir.kn.kernel import KernelOp
from ...ir.locations import describe
from ...ir.operation import to_attribute
from ...ir.program import Program
from ...ir.weights import WeightStore
from .engine import Engine, Kernel, Plan, Schedule
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

    def engine(self, op: KernelOp) -> Engine:
        """A kernel's engine. Raises IRError for one that is not known here."""
        name = op.engine.data
        if (engine := next((engine for engine in self.engines if engine.name == name), None)) is None:
            raise IRError(f"unknown engine '{name}'", where=describe(op))
        return engine

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
        found = self.of(op, weights, self.engine(op))
        if isinstance(found, Refusal):
            raise IRError(f"engine '{name}' refuses this kernel: {found.reason}", where=describe(op))
        plan = next((plan for plan in found if plan.schedule == schedule), None)
        if plan is None:
            known = ", ".join(str(plan.schedule) for plan in found)
            raise IRError(
                f"engine '{name}' has no schedule {schedule} for this kernel, only {known}", where=describe(op)
            )
        return plan

    def candidates(self, op: KernelOp, weights: WeightStore) -> list[dict[str, object]]:
        """What layers.json says of every engine: its best plan, those that were measured and the chosen one, or why it
        refuses."""
        rows, chosen = list[dict[str, object]](), self.chosen(op, weights)
        for engine in self.engines:
            found = self.of(op, weights, engine)
            if isinstance(found, Refusal):
                rows.append(_candidate(engine.name, {}, refusal=found.reason))
                continue
            best = min(found, key=lambda plan: plan.cycles)
            shown = [plan for plan in found if plan in (best, chosen) or plan in self.measured]
            rows += [_candidate(p.engine, p.schedule, p.cycles, self.measured.get(p, 0.0)) for p in shown]
        return rows

    def all_candidates(self, program: Program) -> dict[str, list[dict[str, object]]]:
        """`candidates` of every kernel of a program, by its symbol."""
        kernels = (op for op in program.ops if isinstance(op, KernelOp))
        return {op.symbol.data: self.candidates(op, program.weights) for op in kernels}

    def forget(self, op: KernelOp) -> None:
        """Drops what is known of a kernel that is in no program any longer."""
        self._kernels.pop(op, None)
        for engine in self.engines:
            self._found.pop((op, engine.name), None)


def _candidate(
    engine: str, schedule: Schedule, cycles: float = 0.0, measured: float = 0.0, refusal: str = ""
) -> dict[str, object]:
    return {
        "engine": engine, "schedule": schedule, "cycles": float(round(cycles)), "measured": float(round(measured)),
        "refusal": refusal,
    }  # fmt: skip


def choose(op: KernelOp, plan: Plan) -> None:
    """Writes into a kernel by which engine and schedule it is computed, and what is predicted."""
    op.properties |= {
        "engine": StringAttr(plan.engine),
        "schedule": KernelOp.schedule_attribute(plan.schedule),
        "cycles": to_attribute(round(plan.cycles)),
    }
