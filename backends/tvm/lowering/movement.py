"""Operations that move elements: Relax operators of the same meaning."""

from __future__ import annotations

import numpy as np

from ....ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from ....ir.types import shape_of
from ..context import Context, dtype_of
from ..package import Expr, Scalar, Tensor, relax, te, tirx
from .rules import relax_of


@relax_of(ReshapeOp)
def reshape(context: Context, op: ReshapeOp, x: Expr) -> Expr:
    if 0 in shape_of(op.y):  # in Relax a 0 stands for the size that was there
        return context.constant(np.empty(shape_of(op.y)), dtype_of(op.y))
    return context.emit(relax.op.reshape(x, list(shape_of(op.y))))


@relax_of(TransposeOp)
def transpose(context: Context, op: TransposeOp, x: Expr) -> Expr:
    return context.emit(relax.op.permute_dims(x, list(op.get("perm"))))


@relax_of(ConcatOp)
def concat(context: Context, op: ConcatOp, *parts: Expr) -> Expr:
    same = [context.cast(part, dtype_of(op.y)) for part in parts]
    return context.emit(relax.op.concat(same, axis=op.get("axis")))


@relax_of(SliceOp)
def slice_(context: Context, op: SliceOp, x: Expr) -> Expr:
    starts, steps = op.get("starts"), op.get("steps")

    def compute(x: Tensor) -> Tensor:
        def element(*at: Scalar) -> Scalar:
            return x(*(begin + i * step for begin, i, step in zip(starts, at, steps, strict=True)))

        return te.compute(shape_of(op.y), element)

    return context.emit_te(compute, x)


@relax_of(PadOp)
def pad(context: Context, op: PadOp, x: Expr) -> Expr:
    pads, sizes, dtype = op.get("pads"), shape_of(op.x), dtype_of(op.y)

    def compute(x: Tensor) -> Tensor:
        value = tirx.const(op.get("value") if dtype == "float32" else int(op.get("value")), dtype)

        def element(*at: Scalar) -> Scalar:
            inner = [i - begin for i, begin in zip(at, pads, strict=False)]
            inside = [tirx.all(i >= 0, i < size) for i, size in zip(inner, sizes, strict=True)]
            return tirx.if_then_else(tirx.all(*inside), x(*inner).astype(dtype), value)

        return te.compute(shape_of(op.y), element)

    return context.emit_te(compute, x)


@relax_of(TakeOp)
def take(context: Context, op: TakeOp, x: Expr, indices: Expr) -> Expr:
    axis, rank, size = op.get("axis"), len(shape_of(op.indices)), shape_of(op.x)[op.get("axis")]

    def compute(x: Tensor, indices: Tensor) -> Tensor:
        def element(*at: Scalar) -> Scalar:
            index = indices(*at[axis : axis + rank]).astype("int64")
            index = tirx.Select(index < tirx.const(0, "int64"), index + tirx.const(size, "int64"), index)
            return x(*at[:axis], index, *at[axis + rank :])

        return te.compute(shape_of(op.y), element)

    return context.emit_te(compute, x, indices)
