"""Comparisons, logic, Where and Sign."""

from __future__ import annotations

from functools import partial

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import MaxOp, MinOp
from ...emitter import Emitter
from ...forms import logic
from ...values import Value
from ..node import Node
from ..registry import imports, register


def _compare(above: bool, swapped: bool, e: Emitter, node: Node, a: Value, b: Value) -> Value:
    logic.same_dtype(e, a, b)
    return logic.at_least(e, b, a, above=above) if swapped else logic.at_least(e, a, b, above=above)


for _op_type, _flags in {
    "GreaterOrEqual": (False, False),
    "Greater": (True, False),
    "LessOrEqual": (False, True),
    "Less": (True, True),
}.items():
    register(_op_type, partial(_compare, *_flags))


@imports("Equal")
def equal(e: Emitter, node: Node, a: Value, b: Value) -> Value:
    return logic.equal(e, a, b)


@imports("Not")
def not_(e: Emitter, node: Node, x: Value) -> Value:
    return logic.negation(e, x)


def _both(kind: type[TensorOperation], e: Emitter, node: Node, a: Value, b: Value) -> Value:
    logic.truth(e, a, b)
    return e.op(kind, a, b)


register("And", partial(_both, MinOp))
register("Or", partial(_both, MaxOp))


@imports("Xor")
def xor(e: Emitter, node: Node, a: Value, b: Value) -> Value:
    return logic.either(e, a, b)


@imports("Where")
def where(e: Emitter, node: Node, condition: Value, yes: Value, no: Value) -> Value:
    return logic.choice(e, condition, yes, no)


@imports("Sign")
def sign(e: Emitter, node: Node, x: Value) -> Value:
    return logic.sign(e, x)
