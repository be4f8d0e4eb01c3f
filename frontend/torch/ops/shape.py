"""Operators that only change the shape."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ...emitter import Emitter
from ...values import Value
from ..node import TorchNode
from ..registry import imports


def filled(e: Emitter, x: Value, sizes: Sequence[int]) -> list[int]:
    """Sizes with -1 replaced by what remains. Raises ModelError where they do not fit."""
    found = list(sizes)
    if found.count(-1) > 1 or min(found, default=0) < -1:
        raise e.node.error(f"the shape {found} is not one")
    if -1 in found:
        rest = -prod(found)
        if not rest or prod(x.shape) % rest:
            raise e.node.error(f"a tensor of shape {list(x.shape)} cannot be reshaped to {found}")
        found[found.index(-1)] = prod(x.shape) // rest
    return found


@imports("view.default", "reshape", "_unsafe_view")
def view(e: Emitter, node: TorchNode, x: Value, size: Sequence[int]) -> Value:
    return e.reshape(x, filled(e, x, size))


@imports("flatten.using_ints")
def flatten(e: Emitter, node: TorchNode, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    if not x.rank:
        return e.reshape(x, (1,))
    first, last = e.axis(start_dim, x.rank), e.axis(end_dim, x.rank)
    return e.reshape(x, (*x.shape[:first], prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


@imports("unflatten.int")
def unflatten(e: Emitter, node: TorchNode, x: Value, dim: int, sizes: Sequence[int]) -> Value:
    axis = e.axis(dim, x.rank)
    rest = prod(x.shape) // max(x.shape[axis], 1)
    known = prod(s for s in sizes if s != -1)
    parts = [x.shape[axis] // max(known, 1) if s == -1 else s for s in sizes]
    if rest * prod(parts) != prod(x.shape):
        raise node.error(f"axis {axis} of {list(x.shape)} does not unfold to {list(sizes)}")
    return e.reshape(x, (*x.shape[:axis], *parts, *x.shape[axis + 1 :]))


@imports("squeeze")
def squeeze(e: Emitter, node: TorchNode, x: Value, dim: int | Sequence[int] | None = None) -> Value:
    """Axes of size 1; all of them but the batch without dim."""
    if dim is None:
        gone = {a for a in range(x.rank) if x.shape[a] == 1 and not (a == 0 and e.batched and x.per_sample)}
    else:
        given = (dim,) if isinstance(dim, int) else dim
        gone = {a for a in e.axes(given, max(x.rank, 1)) if x.rank and x.shape[a] == 1}
        for axis in gone:
            e.keep_batch(x, axis)
    return e.reshape(x, [d for a, d in enumerate(x.shape) if a not in gone])


@imports("unsqueeze")
def unsqueeze(e: Emitter, node: TorchNode, x: Value, dim: int) -> Value:
    axis = e.axis(dim, x.rank + 1)
    e.keep_batch(x, axis)
    return e.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))
