"""Matrix products."""

from __future__ import annotations

from ....ir.tn.elementwise import AddOp, MulOp
from ....ir.tn.linear import MatMulOp
from ...emitter import Emitter
from ...values import Refusal, Value
from ..node import TorchNode
from ..registry import imports
from ._arguments import Number


@imports("linear")
def linear(e: Emitter, node: TorchNode, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """x [.., K], weight [N, K] or [K], bias [N]."""
    if not x.is_float:
        raise Refusal(f"linear of {x.dtype.name} tensors is not supported")
    y = e.op(MatMulOp, x, e.transpose(weight, (1, 0)) if weight.rank == 2 else weight)
    return y if bias is None else e.op(AddOp, y, bias)


@imports("matmul", "mm.default", "bmm.default", "mv", "dot")
def matmul(e: Emitter, node: TorchNode, a: Value, b: Value) -> Value:
    """numpy's matmul; integers wrap as their dtype."""
    y = e.op(MatMulOp, a, b)
    return y if a.is_float else e.wrapped(y, a.dtype)


@imports("addmm.default", "baddbmm.default")
def addmm(e: Emitter, node: TorchNode, c: Value, a: Value, b: Value, beta: Number = 1, alpha: Number = 1) -> Value:
    """beta * c + alpha * a b."""
    if not a.is_float:
        raise Refusal(f"{node.op_type} of {a.dtype.name} tensors is not supported")
    y = e.op(MatMulOp, a, b)
    if alpha != 1:
        y = e.op(MulOp, y, e.constant(float(alpha), "alpha"))
    if beta == 0:
        return y
    if beta != 1:
        c = e.op(MulOp, c, e.constant(float(beta), "beta"))
    return e.op(AddOp, y, c)
