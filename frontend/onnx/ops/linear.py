"""Matrix products."""

from __future__ import annotations

import numpy as np

from ....ir.tn.elementwise import AddOp, MulOp
from ....ir.tn.linear import MatMulOp
from ...emitter import Emitter
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports


@imports("MatMul")
def matmul(e: Emitter, node: Node, a: Value, b: Value) -> Value:
    """numpy's matmul; integers wrap as their dtype."""
    if a.dtype != b.dtype:
        raise node.error(f"operands have the dtypes {a.dtype.name} and {b.dtype.name}")
    y = e.op(MatMulOp, a, b)
    return y if a.is_float else e.wrapped(y, a.dtype)


@imports("Gemm")
def gemm(e: Emitter, node: Node, a: Value, b: Value, c: Value | None = None) -> Value:
    """alpha * A' B' + beta * C with A' [M, K] and B' [K, N], transposed on request; C broadcasts."""
    if a.rank != 2 or b.rank != 2:
        raise node.error(f"expected matrices, got the ranks {a.rank} and {b.rank}")
    alpha, beta = node.float("alpha", 1.0), node.float("beta", 1.0)
    if not a.is_float and (alpha != 1 or (c is not None and beta != 1)):
        raise Refusal("Gemm of integers with alpha or beta other than 1 is not supported")
    if node.int("transA", 0):
        a = e.transpose(a, (1, 0))
    if node.int("transB", 0):
        b = e.transpose(b, (1, 0))
    y = e.op(MatMulOp, a, b)
    if alpha != 1:
        y = e.op(MulOp, y, e.constant(alpha, "alpha"))
    if c is not None and beta != 0:
        if beta != 1:
            factor = np.float32(beta)
            c = (
                Value.constant(f"{node.name}.c", c.array * factor)
                if c.array is not None
                else e.op(MulOp, c, e.constant(beta, "beta"))
            )
        shape = y.shape
        y = e.op(AddOp, y, c)
        if y.shape != shape:
            raise node.error(f"C of shape {list(c.shape)} does not broadcast to {list(shape)}")
    return y if a.is_float else e.wrapped(y, a.dtype)
