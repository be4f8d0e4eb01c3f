"""Pools over the spatial axes."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.tn.pool import AvgPoolOp, MaxPoolOp, ReduceMeanOp
from ...emitter import Emitter
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports
from ._window import Window, window


def _window(node: Node, x: Value) -> Window:
    if x.rank < 3:
        raise node.error(f"expected a tensor with spatial axes, got rank {x.rank}")
    return window(node, x.shape[2:], node.ints("kernel_shape"), ceil_mode=bool(node.int("ceil_mode", 0)))


@imports("MaxPool")
def max_pool(e: Emitter, node: Node, x: Value) -> Sequence[Value | None]:
    """Floats and integers; a ceil_mode overhang becomes padding at the end."""
    if node.wants(1):
        raise Refusal("the output Indices is not supported")
    frame = _window(node, x)
    return [e.op(MaxPoolOp, x, kernel=frame.kernel, **frame.attributes), None]


@imports("AveragePool")
def average_pool(e: Emitter, node: Node, x: Value) -> Value:
    """The overhang of ceil_mode never counts; the model's pads do with count_include_pad."""
    frame = _window(node, x)
    counted = frame.given if node.int("count_include_pad", 0) else (0,) * len(frame.given)
    inside = tuple(min(c, p) for c, p in zip(counted, frame.pads, strict=True))
    return e.op(AvgPoolOp, x, kernel=frame.kernel, counted=inside, **frame.attributes)


@imports("GlobalAveragePool")
def global_average_pool(e: Emitter, node: Node, x: Value) -> Value:
    return e.op(ReduceMeanOp, x, axes=tuple(range(2, x.rank)), keepdims=1)


@imports("GlobalMaxPool")
def global_max_pool(e: Emitter, node: Node, x: Value) -> Value:
    ones, zeros = (1,) * (x.rank - 2), (0,) * 2 * (x.rank - 2)
    return e.op(MaxPoolOp, x, kernel=x.shape[2:], strides=ones, dilations=ones, pads=zeros)
