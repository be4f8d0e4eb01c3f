"""Comparisons, logic and choices."""

from __future__ import annotations

from torch.fx import Node

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import ClipOp, MaxOp, MinOp
from ...emitter import Emitter
from ...forms import logic
from ...forms.elementwise import cast_to
from ...values import BOOL, Refusal, Value
from ..node import TorchNode, behind_copies, operator_name
from ..registry import imports, register
from ._arguments import Number, Operand, operand


def _compare(above: bool, swapped: bool, e: Emitter, node: TorchNode, a: Value, b: Operand) -> Value:
    x, y = _promoted(e, node, a, b)
    return logic.at_least(e, y, x, above=above) if swapped else logic.at_least(e, x, y, above=above)


def _promoted(e: Emitter, node: TorchNode, a: Operand, b: Operand) -> tuple[Value, Value]:
    dtype = node.operand_dtype
    return operand(e, a, dtype, "a"), operand(e, b, dtype, "b")


for _name, _flags in {"ge": (False, False), "gt": (True, False), "le": (False, True), "lt": (True, True)}.items():
    register(_name, _compare, *_flags)


@imports("eq")
def equal(e: Emitter, node: TorchNode, a: Value, b: Operand) -> Value:
    return logic.equal(e, *_promoted(e, node, a, b))


@imports("ne")
def not_equal(e: Emitter, node: TorchNode, a: Value, b: Operand) -> Value:
    return logic.negation(e, equal(e, node, a, b))


@imports("logical_not")
def logical_not(e: Emitter, node: TorchNode, x: Value) -> Value:
    return logic.negation(e, cast_to(e, x, BOOL))


@imports("bitwise_not")
def bitwise_not(e: Emitter, node: TorchNode, x: Value) -> Value:
    if x.dtype != BOOL:
        raise Refusal(f"{node.op_type} of {x.dtype.name} tensors is not supported")
    return logic.negation(e, x)


def _both(kind: type[TensorOperation], e: Emitter, node: TorchNode, a: Value, b: Operand) -> Value:
    if node.op_type.startswith("bitwise") and node.dtype != BOOL:
        raise Refusal(f"{node.op_type} of {node.dtype.name} tensors is not supported")
    return e.op(kind, operand(e, a, BOOL), operand(e, b, BOOL), dtype=BOOL)


for _name, _kind in {"logical_and": MinOp, "logical_or": MaxOp, "bitwise_and": MinOp, "bitwise_or": MaxOp}.items():
    register(_name, _both, _kind)


_BOUNDS = {"gt": MinOp, "ge": MinOp, "lt": MaxOp, "le": MaxOp}


def _bound(node: TorchNode) -> type[TensorOperation] | None:
    """What where(x > bound, bound, x) is, which clamps by tensors are written as; None for other choices, and for
    where(x < bound, x, bound), which is the bound where x is NaN."""
    condition, yes, no = (behind_copies(a, casts=True) if isinstance(a, Node) else a for a in node.fx.args)
    if not isinstance(condition, Node) or (kind := _BOUNDS.get(operator_name(condition))) is None:
        return None
    pair = [behind_copies(a, casts=True) if isinstance(a, Node) else a for a in condition.args]
    return kind if pair == [no, yes] else None


def _bounded(e: Emitter, kind: type[TensorOperation], x: Value, bound: Value) -> Value:
    """The smaller or larger of the two: tn.clip for a constant number."""
    number = bound.array
    if number is None or number.size != 1 or bound.rank > x.rank:
        return e.op(kind, x, bound)
    value = float(number.reshape(()))
    return clipped(e, x, None, value) if kind is MinOp else clipped(e, x, value, None)


@imports("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(e: Emitter, node: TorchNode, condition: Value, yes: Operand, no: Operand) -> Value:
    dtype = node.dtype
    if (kind := _bound(node)) is not None:
        return _bounded(e, kind, operand(e, no, dtype, "x"), operand(e, yes, dtype, "bound"))
    return logic.choice(e, cast_to(e, condition, BOOL), operand(e, yes, dtype, "yes"), operand(e, no, dtype, "no"))


@imports("masked_fill")
def masked_fill(e: Emitter, node: TorchNode, x: Value, mask: Value, value: Operand) -> Value:
    return logic.choice(e, mask, operand(e, value, node.dtype, "value"), x)


@imports("sign", "sgn")
def sign(e: Emitter, node: TorchNode, x: Value) -> Value:
    return logic.sign(e, x)


@imports("clamp", "clamp.Tensor", "clip", "hardtanh", "clamp_min", "clamp_max")
def clamp(e: Emitter, node: TorchNode, x: Value, low: Operand | None = None, high: Operand | None = None,
          **named: Operand | None) -> Value:  # fmt: skip
    """Between two bounds, both optional; where low > high everything is high."""
    low, high = named.get("min", named.get("min_val", low)), named.get("max", named.get("max_val", high))
    if node.op_type == "clamp_max":
        low, high = None, low if high is None else high
    elif node.op_type == "hardtanh":
        low, high = -1 if low is None else low, 1 if high is None else high
    y = operand(e, x, node.dtype)
    if not isinstance(low, Value) and not isinstance(high, Value):
        return clipped(e, y, low, high)
    if low is not None:
        y = _bounded(e, MaxOp, y, operand(e, low, node.dtype, "low"))
    return y if high is None else _bounded(e, MinOp, y, operand(e, high, node.dtype, "high"))


def clipped(e: Emitter, x: Value, low: Number | None, high: Number | None) -> Value:
    """One tn.clip, also of a clipped x."""
    lo, hi = float("-inf") if low is None else float(low), float("inf") if high is None else float(high)
    if x.ssa is not None and isinstance(inner := x.ssa.owner, ClipOp):
        first, last = (min(max(bound, lo), hi) for bound in (inner.get("lo"), inner.get("hi")))
        unclipped = Value(x.name, x.dtype, x.shape, ssa=inner.x, per_sample=x.per_sample)
        return e.op(ClipOp, unclipped, lo=first, hi=last)
    return e.op(ClipOp, x, lo=lo, hi=hi)
