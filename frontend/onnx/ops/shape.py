"""Operators that only change the shape."""

from __future__ import annotations

from math import prod

from ...emitter import Emitter
from ...values import Value
from ..node import Node
from ..registry import imports


@imports("Reshape")
def reshape(e: Emitter, node: Node, x: Value, shape: Value) -> Value:
    """-1 is what remains; 0 copies the input's size unless allowzero. A batched program's leading 1 is the batch."""
    sizes = list(e.integers(shape, "the shape"))
    if not node.int("allowzero", 0):
        for i, size in enumerate(sizes):
            if size == 0:
                if i >= x.rank:
                    raise node.error(f"the shape {sizes} copies axis {i} of a tensor of rank {x.rank}")
                sizes[i] = x.shape[i]
    if sizes.count(-1) > 1 or min(sizes, default=0) < -1:
        raise node.error(f"the shape {sizes} is not one")
    if -1 in sizes:
        rest = -prod(sizes)
        if not rest or prod(x.shape) % rest:
            raise node.error(f"a tensor of shape {list(x.shape)} cannot be reshaped to {sizes}")
        sizes[sizes.index(-1)] = prod(x.shape) // rest
    return e.reshape(x, sizes)


@imports("Flatten")
def flatten(e: Emitter, node: Node, x: Value) -> Value:
    """[the axes before `axis` as one, the others as one]."""
    axis = node.int("axis", 1)
    axis = axis if axis == x.rank else e.axis(axis, max(x.rank, 1))
    e.keep_batch(x, axis)
    return e.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@imports("Squeeze")
def squeeze(e: Emitter, node: Node, x: Value, axes: Value | None = None) -> Value:
    """Axes are an attribute before opset 13; without any, all of size 1 but the batch go."""
    if axes is not None or node.has("axes"):
        gone = e.axes(e.integers(axes, "the axes") if axes is not None else node.ints("axes"), x.rank)
    else:
        first = 1 if e.batched and x.per_sample else 0
        gone = tuple(i for i in range(first, x.rank) if x.shape[i] == 1)
    for axis in gone:
        e.keep_batch(x, axis)
        if x.shape[axis] != 1:
            raise node.error(f"axis {axis} has size {x.shape[axis]}, not 1")
    return e.reshape(x, [d for i, d in enumerate(x.shape) if i not in gone])


@imports("Unsqueeze")
def unsqueeze(e: Emitter, node: Node, x: Value, axes: Value | None = None) -> Value:
    given = e.integers(axes, "the axes") if axes is not None else node.ints("axes")
    rank = x.rank + len(given)
    new = e.axes(given, rank)
    if new:
        e.keep_batch(x, min(new))
    rest = iter(x.shape)
    return e.reshape(x, [1 if i in new else next(rest) for i in range(rank)])


@imports("Identity")
def identity(e: Emitter, node: Node, x: Value) -> Value:
    return x
