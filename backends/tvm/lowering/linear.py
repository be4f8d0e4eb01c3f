"""Convolutions, matrix products and batch normalisation."""

from __future__ import annotations

from typing import Any

from ....ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from ....ir.types import is_float, shape_of
from ..context import Context
from ..package import Expr, Tensor, relax, te, tirx
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
    return context.stored(context.emit(relax.op.matmul(context.cast(a, exact), context.cast(b, exact))), op)


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
