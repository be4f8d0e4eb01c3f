"""The engine's face: what it accepts (everything), what that costs, and the kernel around the nests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import Operation

from .....ir.kn.layout import layout_of
from ...elements import ELEMENTS
from ...engine import Cost, Dense, Kernel, KernelCode, LayoutRequest, Schedule
from ...expressions import ELEMENT_HEADER, helpers, is_elementwise
from ...target import Target
from . import matmul, reduce, window  # noqa: F401  (they fill ROOTS, as movement does)
from .movement import emit_copy, emit_elementwise
from .plan import Stage, plan_stages
from .roots import ROOTS, most_elements
from .scope import Scope


class Loops:
    """The universal engine."""

    name = "loops"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        unknown = [op.name for op in kernel.ops if type(op) not in ROOTS and not is_elementwise(op)]
        return f"no loops for {', '.join(unknown)}" if unknown else ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [{}]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        costs = target.costs["loops"]
        cycles = costs["kernel"] + sum(_cycles(op, costs) for op in kernel.ops)
        constants = (o for o in kernel.op.inner if o not in kernel.ops)
        return Cost(
            cycles, bytes=sum(array.nbytes for o in constants if (array := kernel.array(o.results[0])) is not None)
        )

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        return [Dense() for _ in kernel.inputs]

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return False

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        assert all(layout_of(kind) is None for kind in (*kernel.inputs, *kernel.outputs)), "loops are dense only"
        stages = [s for s in plan_stages(kernel) if 0 not in s.shape and s.stored]
        # later stages read all of an earlier one, and nothing inside a kernel waits for other parts
        scope = Scope(kernel, parallel=len(stages) == 1)
        body = scope.out
        with body.block(f"void {kernel.symbol}(const struct tercet_task *task)"):
            if not scope.parallel:
                body.add("if (task->part != 0) return;")
            scope.open_buffers(stages)
            for stage in stages:
                body.add("")
                _emit_stage(scope, stage)
        source = "\n".join([*helpers(kernel.ops), body.text()])
        return KernelCode(source, scope.constants, (ELEMENT_HEADER,), scope.scratch_bytes, scope.parallel)


def _emit_stage(scope: Scope, stage: Stage) -> None:
    if stage.root is not None:
        ROOTS[type(stage.root)].emit(scope, stage, stage.root)
    elif stage.copied is not None:
        emit_copy(scope, stage)
    else:
        emit_elementwise(scope, stage)


def _cycles(op: Operation, costs: Mapping[str, float]) -> float:
    """Cycles of one operation on one core: so many for a `product`, an `exponential`, any other `element`."""
    if (root := ROOTS.get(type(op))) is not None:
        return costs[root.cost] * root.work(op)
    return costs[ELEMENTS[type(op)].cost] * most_elements(op)


ENGINE = Loops()
