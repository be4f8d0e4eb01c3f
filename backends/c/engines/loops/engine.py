"""The universal engine: what it computes (everything), what that costs, and the kernel around the nests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.ir import Operation

from .....ir.kn.layout import layout_of
from .....ir.kn.requests import Dense
from .....ir.tn.elementwise import SigmoidOp, SoftmaxOp, TanhOp
from .....ir.tn.linear import ConvOp, MatMulOp
from .....ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from .....ir.tn.pool import (
    ArgMaxOp,
    AvgPoolOp,
    MaxPoolOp,
    PoolOp,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceSumOp,
    SumPoolOp,
    TopKOp,
)
from .....ir.types import shape_of
from ...engine import Engine, Kernel, KernelCode, Plan, Schedule, only_dense
from ...expressions import ELEMENT_HEADER, helpers, is_elementwise
from ...refusal import Refused
from ...target import Target
from .matmul import emit_matmul
from .movement import (
    emit_concat,
    emit_copy,
    emit_elementwise,
    emit_pad,
    emit_reshape,
    emit_slice,
    emit_take,
    emit_transpose,
)
from .plan import Stage, plan_stages
from .reduce import (
    emit_arg_max,
    emit_reduce_extreme,
    emit_reduce_mean,
    emit_reduce_sum,
    emit_softmax,
    emit_top_k,
)
from .scope import Scope
from .window import emit_avg_pool, emit_conv, emit_max_pool, emit_sum_pool

ROOTS: dict[type[Operation], Callable[..., None]] = {
    ReshapeOp: emit_reshape,
    TransposeOp: emit_transpose,
    ConcatOp: emit_concat,
    SliceOp: emit_slice,
    PadOp: emit_pad,
    TakeOp: emit_take,
    ConvOp: emit_conv,
    MatMulOp: emit_matmul,
    MaxPoolOp: emit_max_pool,
    AvgPoolOp: emit_avg_pool,
    SumPoolOp: emit_sum_pool,
    ReduceMeanOp: emit_reduce_mean,
    ReduceSumOp: emit_reduce_sum,
    ReduceMaxOp: emit_reduce_extreme,
    ReduceMinOp: emit_reduce_extreme,
    SoftmaxOp: emit_softmax,
    ArgMaxOp: emit_arg_max,
    TopKOp: emit_top_k,
}


@dataclass(frozen=True)
class Nests:
    """There is nothing to choose."""

    ops: Sequence[Operation]

    def schedule(self) -> Schedule:
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
        ROOTS[type(stage.root)](scope, stage, stage.root)
    elif stage.copied is not None:
        emit_copy(scope, stage)
    else:
        emit_elementwise(scope, stage)


def _cycles(op: Operation, costs: Mapping[str, float]) -> float:
    """Cycles of one operation on one core: so many for a `product`, an `exponential`, any other `element`."""
    elements = sum(prod(shape_of(v)) for v in op.results)
    if isinstance(op, ConvOp):
        return costs["product"] * elements * prod(shape_of(op.w)[1:])
    if isinstance(op, MatMulOp):
        return costs["product"] * elements * shape_of(op.a)[-1]
    if isinstance(op, PoolOp):
        return costs["element"] * elements * prod(op.get("kernel"))
    if isinstance(op, SigmoidOp | TanhOp | SoftmaxOp):
        return costs["exponential"] * elements
    return costs["element"] * max([elements, *(prod(shape_of(v)) for v in op.operands)])


ENGINE = Engine("loops", read)
