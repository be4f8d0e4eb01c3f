"""Reductions and searches along axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ....ir.operation import TensorOperation
from ....ir.tn.pool import ArgMaxOp, ReduceMaxOp, ReduceMeanOp, ReduceMinOp, TopKOp
from ..emitter import Emitter
from ..node import Node
from ..registry import imports, register
from ..values import INT64, Refusal, Value


def _reduce(kind: type[TensorOperation], e: Emitter, node: Node, x: Value, axes: Value | None = None) -> Value:
    """Axes are an attribute before opset 18, then an input; none means all, or nothing with noop_with_empty_axes."""
    if kind is ReduceMeanOp and not x.is_float:
        raise Refusal(f"{node.op_type} of {x.dtype.name} tensors is not supported")
    given = e.integers(axes, "the axes") if axes is not None else node.ints("axes", ())
    if not given and node.int("noop_with_empty_axes", 0):
        return x
    over = tuple(sorted(e.axes(given, x.rank))) if given else tuple(range(x.rank))
    if not x.is_float and any(not x.shape[axis] for axis in over):
        raise Refusal(f"{node.op_type} along an axis of size 0 is not supported")
    return e.op(kind, x, axes=over, keepdims=int(bool(node.int("keepdims", 1))))


register("ReduceMean", partial(_reduce, ReduceMeanOp))
register("ReduceMax", partial(_reduce, ReduceMaxOp))
register("ReduceMin", partial(_reduce, ReduceMinOp))


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
