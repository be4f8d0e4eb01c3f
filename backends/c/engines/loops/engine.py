"""The universal engine: what it computes (everything), what that costs, and the kernel around the nests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation

from .....ir.kn.layout import layout_of
from .....ir.kn.requests import Dense
from ...elements import ELEMENTS
from ...engine import Engine, Kernel, KernelCode, Plan, Schedule, only_dense
from ...expressions import ELEMENT_HEADER, helpers, is_elementwise
from ...refusal import Refused
from ...target import Target
from . import matmul, reduce, window  # noqa: F401  (they fill ROOTS, as movement does)
from .movement import emit_copy, emit_elementwise
from .plan import Stage, plan_stages
from .roots import ROOTS, most_elements
from .scope import Scope


@dataclass(frozen=True)
class Nests:
    """There is nothing to choose."""

    ops: Sequence[Operation]

    def schedule(self) -> Schedule:
        """There is nothing to choose."""
        return {}

    def cost(self, costs: Mapping[str, float]) -> float:
        return costs["kernel"] + sum(_cycles(op, costs) for op in self.ops)


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    if unknown := [op.name for op in kernel.ops if type(op) not in ROOTS and not is_elementwise(op)]:
        raise Refused(f"no loops for {', '.join(unknown)}")
    return [Plan.of("loops", Nests(kernel.ops), target, [Dense()] * len(kernel.inputs), only_dense, emit_nests)]


def emit_nests(kernel: Kernel, nests: Nests) -> KernelCode:
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
    """Cycles of one operation on one core: so many for a `product`, an `exponential`, a `call` of libm, any
    other `element`."""
    if (root := ROOTS.get(type(op))) is not None:
        return costs[root.cost] * root.work(op)
    return costs[ELEMENTS[type(op)].cost] * most_elements(op)


ENGINE = Engine("loops", read)
