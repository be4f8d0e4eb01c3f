"""Reductions and searches along axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ....ir.operation import TensorOperation
from ....ir.tn.elementwise import AbsOp, AddOp, MulOp, SubOp
from ....ir.tn.functions import ExpOp, LogOp, SqrtOp
from ....ir.tn.pool import ArgMaxOp, ReduceMaxOp, ReduceMeanOp, ReduceMinOp, ReduceSumOp, TopKOp
from ...emitter import Emitter
from ...values import INT64, Refusal, Value
from ..node import Node
from ..registry import imports, register


def _axes(e: Emitter, node: Node, x: Value, axes: Value | None) -> tuple[int, ...] | None:
    """The axes to reduce, ascending: an attribute before opset 18 (ReduceSum: 13), then an input. None given means all,
    or, with noop_with_empty_axes, that the result is x: None."""
    given = e.integers(axes, "the axes") if axes is not None else node.ints("axes", ())
    if not given and node.int("noop_with_empty_axes", 0):
        return None
    return tuple(sorted(e.axes(given, x.rank))) if given else tuple(range(x.rank))


def _reduced(kind: type[TensorOperation], e: Emitter, node: Node, x: Value, over: tuple[int, ...]) -> Value:
    y = e.op(kind, x, axes=over, keepdims=int(bool(node.int("keepdims", 1))))
    return y if x.is_float else e.wrapped(y, x.dtype)


def _reduce(kind: type[TensorOperation], e: Emitter, node: Node, x: Value, axes: Value | None = None) -> Value:
    if kind is ReduceMeanOp and not x.is_float:
        raise Refusal(f"{node.op_type} of {x.dtype.name} tensors is not supported")
    over = _axes(e, node, x, axes)
    if over is None:
        return x
    if kind is not ReduceSumOp and not x.is_float and any(not x.shape[axis] for axis in over):
        raise Refusal(f"{node.op_type} along an axis of size 0 is not supported")
    return _reduced(kind, e, node, x, over)


register("ReduceMean", partial(_reduce, ReduceMeanOp))
register("ReduceMax", partial(_reduce, ReduceMaxOp))
register("ReduceMin", partial(_reduce, ReduceMinOp))
register("ReduceSum", partial(_reduce, ReduceSumOp), folds=True)


@imports("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", folds=True)
def reduce_norm(e: Emitter, node: Node, x: Value, axes: Value | None = None) -> Value:
    """A function of the sum of magnitudes, squares or elements. Integers are exact, where their dtype holds them."""
    over = _axes(e, node, x, axes)
    if over is None:
        return x
    if node.op_type in ("ReduceL2", "ReduceLogSum") and not x.is_float:
        raise Refusal(f"{node.op_type} of {x.dtype.name} tensors is not supported")
    if node.op_type == "ReduceL1":
        x = e.op(AbsOp, x)
    elif node.op_type != "ReduceLogSum":
        x = e.op(MulOp, x, x)
    y = _reduced(ReduceSumOp, e, node, x, over)
    after = {"ReduceL2": SqrtOp, "ReduceLogSum": LogOp}.get(node.op_type)
    return y if after is None else e.op(after, y)


@imports("ReduceLogSumExp", folds=True)
def reduce_log_sum_exp(e: Emitter, node: Node, x: Value, axes: Value | None = None) -> Value:
    """Of the differences to the largest element, so that no exponential overflows."""
    over = _axes(e, node, x, axes)
    if over is None:
        return x
    top = e.op(ReduceMaxOp, x, axes=over, keepdims=1)
    powers = e.op(ExpOp, e.op(SubOp, x, top))
    y = e.op(LogOp, _reduced(ReduceSumOp, e, node, powers, over))
    return e.op(AddOp, y, e.reshape(top, y.shape))


def _arg(largest: int, e: Emitter, node: Node, x: Value) -> Value:
    """The index along `axis` as int64."""
    axis = e.axis(node.int("axis", 0), x.rank)
    if not x.shape[axis]:
        raise node.error(f"axis {axis} is empty")
    last = int(bool(node.int("select_last_index", 0)))
    y = e.op(ArgMaxOp, x, dtype=INT64, axis=axis, largest=largest, last=last)
    return y if node.int("keepdims", 1) else e.reshape(y, y.shape[:axis] + y.shape[axis + 1 :])


register("ArgMax", partial(_arg, 1))
register("ArgMin", partial(_arg, 0))


@imports("TopK")
def top_k(e: Emitter, node: Node, x: Value, k: Value | None = None) -> Sequence[Value]:
    """Values and int64 indices. k is an attribute before opset 10; sorted = 0 leaves the order free."""
    if k is None and node.opset >= 10:
        raise node.error("input K is left out")
    count = node.int("k") if k is None else int(e.scalar(k, "K"))
    axis = e.axis(node.int("axis", -1), x.rank)
    largest = int(bool(node.int("largest", 1)))
    return e.ops(TopKOp, x, dtypes=(x.dtype, INT64), k=count, axis=axis, largest=largest)
