"""Arithmetic with broadcasting, rounding, casts."""

from __future__ import annotations

from functools import partial

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import AbsOp, AddOp, DivOp, MaxOp, MinOp, MulOp, RoundOp, SubOp
from ...emitter import Emitter
from ...forms import elementwise
from ...values import Value
from ..node import Node
from ..registry import imports, register
from ..tensors import dtype_of


def _binary(kind: type[TensorOperation], e: Emitter, node: Node, a: Value, b: Value) -> Value:
    """Both float or both the same integer dtype, which wraps."""
    if a.dtype != b.dtype:
        raise node.error(f"operands have the dtypes {a.dtype.name} and {b.dtype.name}")
    y = e.op(kind, a, b)
    return y if a.is_float else e.wrapped(y, a.dtype)


def _variadic(kind: type[TensorOperation], e: Emitter, node: Node, first: Value, *rest: Value | None) -> Value:
    for value in rest:
        if value is None:
            raise node.error("an input is left out")
        first = _binary(kind, e, node, first, value)
    return first


def _round(mode: str, e: Emitter, node: Node, x: Value) -> Value:
    return e.op(RoundOp, x, mode=mode) if x.is_float else x


for _op_type, _kind in {"Add": AddOp, "Sub": SubOp, "Mul": MulOp, "Div": DivOp}.items():
    register(_op_type, partial(_binary, _kind))
for _op_type, _kind in {"Max": MaxOp, "Min": MinOp, "Sum": AddOp}.items():
    register(_op_type, partial(_variadic, _kind))
for _op_type, _mode in {"Round": "round", "Ceil": "ceil", "Floor": "floor"}.items():
    register(_op_type, partial(_round, _mode))


@imports("Abs", folds=True)
def absolute(e: Emitter, node: Node, x: Value) -> Value:
    y = e.op(AbsOp, x)
    return y if x.is_float else e.wrapped(y, x.dtype)


@imports("Neg", folds=True)
def negative(e: Emitter, node: Node, x: Value) -> Value:
    return elementwise.negative(e, x)


@imports("Reciprocal", folds=True)
def reciprocal(e: Emitter, node: Node, x: Value) -> Value:
    return elementwise.reciprocal(e, x)


@imports("Pow", folds=True)
def power(e: Emitter, node: Node, x: Value, exponent: Value) -> Value:
    return elementwise.power(e, x, exponent)


@imports("Cast")
def cast(e: Emitter, node: Node, x: Value) -> Value:
    """Floats truncate to integers, integers wrap, bool is `x != 0`."""
    return elementwise.cast_to(e, x, dtype_of(node.int("to"), where=node.label))


@imports("CastLike")
def cast_like(e: Emitter, node: Node, x: Value, like: Value) -> Value:
    return elementwise.cast_to(e, x, like.dtype)
