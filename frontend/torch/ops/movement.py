"""Operators that move elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ir.tn.movement import ConcatOp, TakeOp
from ...emitter import Emitter
from ...forms.movement import picked
from ...values import Refusal, Value
from ..node import TorchNode
from ..registry import imports
from ._arguments import operand


@imports("permute")
def permute(e: Emitter, node: TorchNode, x: Value, dims: Sequence[int]) -> Value:
    return e.transpose(x, e.axes(dims, x.rank))


@imports("transpose.int", "swapaxes", "swapdims")
def transpose(e: Emitter, node: TorchNode, x: Value, dim0: int, dim1: int) -> Value:
    perm = list(range(x.rank))
    a, b = e.axis(dim0, x.rank), e.axis(dim1, x.rank)
    perm[a], perm[b] = b, a
    return e.transpose(x, perm)


@imports("t", "mT", "numpy_T")
def reversed_axes(e: Emitter, node: TorchNode, x: Value) -> Value:
    """The last two axes, or all, the other way round."""
    if node.op_type == "mT":
        return transpose(e, node, x, -1, -2)
    return e.transpose(x, tuple(reversed(range(x.rank))))


@imports("cat", "concat")
def concat(e: Emitter, node: TorchNode, parts: Sequence[Value], dim: int = 0) -> Value:
    """Parts of the shape [0] are left out, as torch does."""
    present = [operand(e, p, node.dtype) for p in parts if p.shape != (0,)] or [operand(e, parts[0], node.dtype)]
    if len(present) == 1:
        return present[0]
    return e.op(ConcatOp, *present, axis=e.axis(dim, present[0].rank))


@imports("stack")
def stack(e: Emitter, node: TorchNode, parts: Sequence[Value], dim: int = 0) -> Value:
    axis = e.axis(dim, parts[0].rank + 1)
    for part in parts:
        e.keep_batch(part, axis)
    return concat(e, node, [e.reshape(p, (*p.shape[:axis], 1, *p.shape[axis:])) for p in parts], axis)


# -- parts ------------------------------------------------------------------------------------------------------------


def part_of(e: Emitter, x: Value, axis: int, start: int, size: int, step: int = 1) -> Value:
    """`size` elements along one axis."""
    starts, steps = [0] * x.rank, [1] * x.rank
    starts[axis], steps[axis] = start if size else 0, step
    return e.slice(x, starts, [*x.shape[:axis], size, *x.shape[axis + 1 :]], steps)


@imports("split", "split_with_sizes", "chunk", "tensor_split.sections")
def split(e: Emitter, node: TorchNode, x: Value, sizes: int | Sequence[int], dim: int = 0) -> list[Value]:
    """Parts of one size, the last one smaller; of these sizes; or so many parts."""
    axis = e.axis(dim, x.rank)
    e.keep_batch(x, axis)
    whole = x.shape[axis]
    if not isinstance(sizes, int):
        parts = list(sizes)
    elif node.op_type == "tensor_split":
        parts = [whole // sizes + (i < whole % sizes) for i in range(sizes)]
    else:
        each = max(-(-whole // sizes) if node.op_type == "chunk" else sizes, 1)
        parts = [min(each, whole - at) for at in range(0, whole, each)] or [0]
    if sum(parts) != whole or min(parts, default=0) < 0:
        raise node.error(f"parts {parts} do not fill axis {axis} of size {whole}")
    return [part_of(e, x, axis, sum(parts[:i]), size) for i, size in enumerate(parts)]


@imports("unbind")
def unbind(e: Emitter, node: TorchNode, x: Value, dim: int = 0) -> list[Value]:
    axis = e.axis(dim, x.rank)
    return [select(e, node, x, axis, i) for i in range(x.shape[axis])]


@imports("slice.Tensor")
def slice_(
    e: Emitter,
    node: TorchNode,
    x: Value,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value:
    axis = e.axis(dim, x.rank)
    whole = x.shape[axis]
    chosen = range(*slice(start, end, step).indices(whole))
    if not (start or 0) and step == 1 and (end is None or end >= 2**31 - 1):
        return x
    e.keep_batch(x, axis)
    return part_of(e, x, axis, chosen.start if chosen else 0, len(chosen), step)


@imports("select.int")
def select(e: Emitter, node: TorchNode, x: Value, dim: int, index: int) -> Value:
    axis = e.axis(dim, x.rank)
    e.keep_batch(x, axis)
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise node.error(f"index {index} is outside axis {axis} of size {x.shape[axis]}")
    y = part_of(e, x, axis, index % x.shape[axis], 1)
    return e.reshape(y, x.shape[:axis] + x.shape[axis + 1 :])


@imports("slice_scatter")
def slice_scatter(
    e: Emitter,
    node: TorchNode,
    x: Value,
    part: Value,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Value:
    """x with other elements in a slice of it."""
    axis = e.axis(dim, x.rank)
    e.keep_batch(x, axis)
    if step != 1:
        raise Refusal(f"{node.op_type} with steps of {step} is not supported")
    chosen = range(*slice(start, end).indices(x.shape[axis]))
    first, last = (chosen.start, chosen.stop) if chosen else (0, 0)
    pieces = [part_of(e, x, axis, 0, first), part, part_of(e, x, axis, last, x.shape[axis] - last)]
    return concat(e, node, [p for p in pieces if p.shape[axis]] or [x], axis)


@imports("select_scatter")
def select_scatter(e: Emitter, node: TorchNode, x: Value, part: Value, dim: int, index: int) -> Value:
    axis = e.axis(dim, x.rank)
    at = index % max(x.shape[axis], 1)
    return slice_scatter(e, node, x, e.reshape(part, (*x.shape[:axis], 1, *x.shape[axis + 1 :])), axis, at, at + 1)


# -- elements at indices ----------------------------------------------------------------------------------------------


def _taken(e: Emitter, x: Value, index: Value, axis: int) -> Value:
    """numpy.take; constant indices are checked."""
    if (known := index.array) is not None and known.size:
        size = x.shape[axis]
        if known.dtype.kind not in "iu" or int(known.min()) < -size or int(known.max()) >= size:
            raise e.node.error(f"an index is outside axis {axis} of size {size}")
        index = Value.constant(index.name, np.where(known < 0, known + size, known))
    return e.op(TakeOp, x, index, axis=axis)


@imports("index_select")
def index_select(e: Emitter, node: TorchNode, x: Value, dim: int, index: Value) -> Value:
    return _taken(e, x, index, e.axis(dim, x.rank))


@imports("embedding")
def embedding(e: Emitter, node: TorchNode, weight: Value, indices: Value, *_: object) -> Value:
    """weight [V, D], integer indices of any shape."""
    return _taken(e, weight, indices, 0)


@imports("index.Tensor")
def index(e: Emitter, node: TorchNode, x: Value, indices: Sequence[Value | None]) -> Value:
    """x[:, index]: integers along one axis."""
    given = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if len(given) != 1 or given[0][1].dtype.kind not in "iu":
        raise Refusal("indexing by masks, or along several axes, is not supported")
    axis, at = given[0]
    e.keep_batch(x, axis)
    return _taken(e, x, at, axis)


@imports("gather")
def gather(e: Emitter, node: TorchNode, x: Value, dim: int, index: Value, sparse_grad: bool = False) -> Value:
    """Along an axis, at constant indices that are the same for all others."""
    axis = e.axis(dim, x.rank)
    known = e.known(index, "the index")
    line = np.moveaxis(known, axis, 0).reshape(known.shape[axis], -1)
    others = [(known.shape[a], x.shape[a]) for a in range(x.rank) if a != axis]
    if not line.size or (line != line[:, :1]).any() or any(have != want for have, want in others):
        raise Refusal("gather at indices that differ along other axes is not supported")
    return _taken(e, x, e.constant(line[:, 0].astype(np.int64), "index"), axis)


# -- repetition and order ---------------------------------------------------------------------------------------------


@imports("expand")
def expand(e: Emitter, node: TorchNode, x: Value, sizes: Sequence[int], implicit: bool = False) -> Value:
    """-1 keeps an axis; new axes come first."""
    new = len(sizes) - x.rank
    if new < 0:
        raise node.error(f"a tensor of shape {list(x.shape)} does not expand to {list(sizes)}")
    if new:
        e.keep_batch(x, 0)
        x = e.reshape(x, (*(1,) * new, *x.shape))
    target = [d if s == -1 else s for s, d in zip(sizes, x.shape, strict=True)]
    if any(d not in (1, t) for d, t in zip(x.shape, target, strict=True)):
        raise node.error(f"a tensor of shape {list(x.shape)} does not expand to {list(sizes)}")
    e.check_size(target)
    return picked(e, x, {a: np.zeros(t, np.int64) for a, t in enumerate(target) if t != x.shape[a]})


@imports("repeat", "tile")
def repeat(e: Emitter, node: TorchNode, x: Value, repeats: Sequence[int]) -> Value:
    counts = list(repeats)
    if len(counts) > x.rank:
        x = e.reshape(x, (*(1,) * (len(counts) - x.rank), *x.shape))
    counts = [1] * (x.rank - len(counts)) + counts
    sizes = [d * count for d, count in zip(x.shape, counts, strict=True)]
    e.check_size(sizes)
    return picked(e, x, {a: np.arange(sizes[a]) % max(x.shape[a], 1) for a, count in enumerate(counts) if count != 1})


@imports("repeat_interleave.self_int")
def repeat_interleave(
    e: Emitter, node: TorchNode, x: Value, repeats: int, dim: int | None = None, output_size: int | None = None
) -> Value:
    if dim is None:
        x, dim = e.reshape(x, (int(np.prod(x.shape, dtype=np.int64)),)), 0
    axis = e.axis(dim, x.rank)
    return picked(e, x, {axis: np.repeat(np.arange(x.shape[axis]), repeats)})


@imports("flip")
def flip(e: Emitter, node: TorchNode, x: Value, dims: Sequence[int]) -> Value:
    axes = e.axes(dims, x.rank)
    for axis in axes:
        e.keep_batch(x, axis)
    starts = [max(d - 1, 0) if a in axes else 0 for a, d in enumerate(x.shape)]
    return e.slice(x, starts, x.shape, [-1 if a in axes and x.shape[a] > 1 else 1 for a in range(x.rank)])


@imports("roll")
def roll(e: Emitter, node: TorchNode, x: Value, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Value:
    """Without axes the flattened tensor is rolled."""
    by = [shifts] if isinstance(shifts, int) else list(shifts)
    along = [dims] if isinstance(dims, int) else list(dims)
    if not along:
        flat = e.reshape(x, (int(np.prod(x.shape, dtype=np.int64)),))
        return e.reshape(roll(e, node, flat, by, [0]), x.shape)
    for shift, dim in zip(by, along, strict=True):
        axis = e.axis(dim, x.rank)
        e.keep_batch(x, axis)
        x = e.take(x, np.roll(np.arange(x.shape[axis]), shift), axis, suffix=f"axis{axis}")
    return x


# -- blocks of channels -----------------------------------------------------------------------------------------------


@imports("pixel_shuffle")
def pixel_shuffle(e: Emitter, node: TorchNode, x: Value, upscale_factor: int) -> Value:
    """[.., C b^2, H, W] -> [.., C, H b, W b]; the block is the inner part of the channels."""
    *lead, c, h, w = x.shape
    b, r = upscale_factor, len(lead)
    y = e.reshape(x, (*lead, c // (b * b), b, b, h, w))
    y = e.transpose(y, (*range(r), r, r + 3, r + 1, r + 4, r + 2))
    return e.reshape(y, (*lead, c // (b * b), h * b, w * b))


@imports("pixel_unshuffle")
def pixel_unshuffle(e: Emitter, node: TorchNode, x: Value, downscale_factor: int) -> Value:
    """[.., C, H b, W b] -> [.., C b^2, H, W]."""
    *lead, c, h, w = x.shape
    b, r = downscale_factor, len(lead)
    y = e.reshape(x, (*lead, c, h // b, b, w // b, b))
    y = e.transpose(y, (*range(r), r, r + 2, r + 4, r + 1, r + 3))
    return e.reshape(y, (*lead, c * b * b, h // b, w // b))


@imports("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(e: Emitter, node: TorchNode, x: Value, groups: int) -> Value:
    n, c = x.shape[:2]
    y = e.transpose(e.reshape(x, (n, groups, c // groups, *x.shape[2:])), (0, 2, 1, *range(3, x.rank + 1)))
    return e.reshape(y, x.shape)


@imports("copy")
def copy(e: Emitter, node: TorchNode, x: Value, source: Value, non_blocking: bool = False) -> Value:
    """The source in the shape and dtype of x."""
    return expand(e, node, operand(e, source, node.dtype), x.shape)
