"""Convolutions, matrix products and batch normalisation."""

from __future__ import annotations

from typing import Any

from ....ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from ....ir.types import is_float, shape_of
from ..context import Context
from ..engines.tiles import in_vectors
from ..package import Expr, Tensor, relax, s_tir, te, tirx, tvm
from .rules import relax_of, wide


@relax_of(ConvOp)
def conv(context: Context, op: ConvOp, x: Expr, w: Expr, bias: Expr | None = None) -> Expr:
    exact = "float32" if is_float(op.x) else wide((*op.operands, op.y))
    window = {
        "strides": list(op.get("strides")), "padding": list(op.get("pads")), "dilation": list(op.get("dilations")),
        "groups": op.get("group"),
    }  # fmt: skip
    rank = len(op.get("strides"))
    convolution = relax.op.nn.conv1d if rank == 1 else relax.op.nn.conv2d
    y = context.emit(convolution(context.cast(x, exact), context.cast(w, exact), **window))
    return context.stored(y if bias is None else plus_bias(context, op, y, bias), op)


def plus_bias(context: Context, op: ConvOp, y: Expr, bias: Expr) -> Expr:
    """A convolution's sums and the bias of their channels, in the sums' type."""
    shape = [1, shape_of(op.y)[1], *[1] * (len(shape_of(op.y)) - 2)]
    return context.emit(relax.op.add(y, context.emit(relax.op.reshape(context.cast(bias, y.ty.dtype), shape))))


@relax_of(MatMulOp)
def matmul(context: Context, op: MatMulOp, a: Expr, b: Expr) -> Expr:
    exact = "float32" if is_float(op.a) else wide((*op.operands, op.y))
    wide_a, wide_b = context.cast(a, exact), context.cast(b, exact)
    if len(shape_of(op.b)) == 2 and len(shape_of(op.a)) == 2:
        (rows, outputs), terms = shape_of(op.y), shape_of(op.b)[0]
        function = _rows(rows, terms, outputs, exact)
        return context.stored(context.call(function, [wide_a, wide_b], [(rows, outputs)], exact, "rows"), op)
    return context.stored(context.emit(relax.op.matmul(wide_a, wide_b)), op)


def _rows(rows: int, terms: int, outputs: int, dtype: str) -> Any:
    """A product of two matrices: of a row as many outputs at a time as are a vector, which read whole rows of b."""
    a, b = te.placeholder((rows, terms), dtype, name="a"), te.placeholder((terms, outputs), dtype, name="b")
    k = te.reduce_axis((0, terms), "k")
    y = te.compute((rows, outputs), lambda m, n: te.sum(a(m, k) * b(k, n), axis=k), name="y")
    schedule = s_tir.Schedule(tvm.IRModule({"main": te.create_prim_func([a, b, y])}))
    width = next(n for n in (64, 32, 16, 8, 4, 2, 1) if outputs % n == 0)
    in_vectors(schedule, "y", width, 1)
    return schedule.mod["main"]


@relax_of(BatchNormOp)
def batch_norm(
    context: Context, op: BatchNormOp, x: Expr, scale: Expr, bias: Expr, mean: Expr, var: Expr
) -> Expr:
    def compute(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        def element(*at: Any) -> Any:
            c = at[1]
            factor = scale(c) / tirx.sqrt(var(c) + tirx.const(op.get("epsilon"), "float32"))
            return x(*at) * factor + (bias(c) - mean(c) * factor)

        return te.compute(shape_of(op.y), element)

    return context.emit_te(compute, x, scale, bias, mean, var)
