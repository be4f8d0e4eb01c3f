"""Normalisation over axes of one sample."""

from __future__ import annotations

from ...ir.tn.elementwise import AddOp, DivOp, MulOp, SubOp
from ...ir.tn.functions import SqrtOp
from ...ir.tn.pool import ReduceMeanOp
from ..emitter import Emitter
from ..values import Value


def normalized(e: Emitter, x: Value, axes: tuple[int, ...], epsilon: float) -> tuple[Value, Value, Value]:
    """(x - mean) / sqrt(variance + epsilon) over axes, the mean, and that root."""
    mean = e.op(ReduceMeanOp, x, axes=axes, keepdims=1)
    off = e.op(SubOp, x, mean)
    variance = e.op(ReduceMeanOp, e.op(MulOp, off, off), axes=axes, keepdims=1)
    deviation = e.op(SqrtOp, e.op(AddOp, variance, e.constant(epsilon, "epsilon")))
    return e.op(DivOp, off, deviation), mean, deviation
