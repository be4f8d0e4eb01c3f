"""Operations that move elements: each is one or more boxes with an affine read; `take` adds an index from memory."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import SSAValue

from .....ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from .....ir.types import is_float, shape_of
from ...text import float_c, int_c
from .nest import Piece, emit_pieces
from .plan import Stage
from .roots import root
from .scope import Access, Index, Scope, dense_strides, sum_c


def emit_elementwise(scope: Scope, stage: Stage) -> None:
    """A stage without root."""
    emit_pieces(scope, stage, [_whole(stage)])


def emit_copy(scope: Scope, stage: Stage) -> None:
    assert stage.copied is not None
    emit_pieces(scope, stage, [_read(stage, stage.copied, Access(0, dense_strides(stage.shape)))])


@root(ReshapeOp)
def emit_reshape(scope: Scope, stage: Stage, op: ReshapeOp) -> None:
    emit_pieces(scope, stage, [_read(stage, op.x, Access(0, dense_strides(stage.shape)))])


@root(TransposeOp)
def emit_transpose(scope: Scope, stage: Stage, op: TransposeOp) -> None:
    strides = dense_strides(shape_of(op.x))
    emit_pieces(scope, stage, [_read(stage, op.x, Access(0, tuple(strides[p] for p in op.get("perm"))))])


@root(SliceOp)
def emit_slice(scope: Scope, stage: Stage, op: SliceOp) -> None:
    strides = dense_strides(shape_of(op.x))
    offset = sum(start * stride for start, stride in zip(op.get("starts"), strides, strict=True))
    steps = tuple(step * stride for step, stride in zip(op.get("steps"), strides, strict=True))
    emit_pieces(scope, stage, [_read(stage, op.x, Access(offset, steps))])


@root(ConcatOp)
def emit_concat(scope: Scope, stage: Stage, op: ConcatOp) -> None:
    axis, at, pieces = op.get("axis"), 0, []
    for part in op.operands:
        starts = tuple(at if i == axis else 0 for i in range(len(stage.shape)))
        pieces.append(_box(part, starts, shape_of(part)))
        at += shape_of(part)[axis]
    emit_pieces(scope, stage, pieces)


@root(PadOp)
def emit_pad(scope: Scope, stage: Stage, op: PadOp) -> None:
    """The border as slabs, two for each padded axis, then the inside."""
    x, pads, rank = shape_of(op.x), op.get("pads"), len(stage.shape)
    value = float_c(op.get("value")) if is_float(op.x) else int_c(int(op.get("value")))
    pieces = []
    for axis in range(rank):
        # axes before this one are inside, axes after it are whole
        starts = [*pads[:axis], *[0] * (rank - axis)]
        sizes = [*x[:axis], 0, *stage.shape[axis + 1 :]]
        for start, size in ((0, pads[axis]), (pads[axis] + x[axis], pads[rank + axis])):
            starts[axis], sizes[axis] = start, size
            pieces.append(Piece(tuple(starts), tuple(sizes), (), lambda _scope, _index: value))
    pieces.append(_box(op.x, tuple(pads[:rank]), x))
    emit_pieces(scope, stage, pieces)


@root(TakeOp)
def emit_take(scope: Scope, stage: Stage, op: TakeOp) -> None:
    axis, x, indices = op.get("axis"), shape_of(op.x), shape_of(op.indices)
    strides, after = dense_strides(x), len(stage.shape) - axis - len(indices)
    outside = Access(0, (*strides[:axis], *(0,) * len(indices), *strides[axis + 1 :]))
    which = Access(0, (*(0,) * axis, *dense_strides(indices), *(0,) * after))

    def bind(scope: Scope, index: Index) -> str:
        at = scope.name("index")
        scope.out.add(f"int64_t {at} = {scope.reads[op.indices].at(index(which))};")
        scope.out.add(f"{at} = {at} < 0 ? {at} + {x[axis]} : {at};")
        # the interpreter refuses an index outside of x; a kernel cannot, but must not read there either
        scope.out.add(f"{at} = {at} < 0 ? 0 : {at} > {x[axis] - 1} ? {x[axis] - 1} : {at};")
        return scope.reads[op.x].at(sum_c([(index(outside), 1), (at, strides[axis])]))

    if x[axis]:
        emit_pieces(scope, stage, [_whole(stage, (outside, which), bind)])


def _whole(stage: Stage, reads: tuple[Access, ...] = (), bind: Callable[[Scope, Index], str] | None = None) -> Piece:
    return Piece((0,) * len(stage.shape), stage.shape, reads, bind)


def _read(stage: Stage, value: SSAValue, access: Access) -> Piece:
    """The whole shape, read from a buffer."""
    return _whole(stage, (access,), lambda scope, index: scope.reads[value].at(index(access)))


def _box(value: SSAValue, starts: tuple[int, ...], sizes: tuple[int, ...]) -> Piece:
    """A box that a whole buffer fills."""
    strides = dense_strides(sizes)
    access = Access(-sum(at * stride for at, stride in zip(starts, strides, strict=True)), strides)
    return Piece(starts, sizes, (access,), lambda scope, index: scope.reads[value].at(index(access)))
