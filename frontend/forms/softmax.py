"""The logarithm of softmax."""

from __future__ import annotations

from ...ir.tn.elementwise import SubOp
from ...ir.tn.functions import ExpOp, LogOp
from ...ir.tn.pool import ReduceMaxOp, ReduceSumOp
from ..emitter import Emitter
from ..values import Value


def log_softmax(e: Emitter, x: Value, axis: int) -> Value:
    """x - largest - log(sum(exp(x - largest)))."""
    axes = (axis,) if x.rank else ()
    below = e.op(SubOp, x, e.op(ReduceMaxOp, x, axes=axes, keepdims=1))
    total = e.op(ReduceSumOp, e.op(ExpOp, below), axes=axes, keepdims=1)
    return e.op(SubOp, below, e.op(LogOp, total))
