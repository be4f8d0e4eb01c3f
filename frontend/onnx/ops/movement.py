"""Operators that move elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ir.tn.movement import ConcatOp, TakeOp
from ...emitter import Emitter
from ...forms.movement import picked
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports

_WHOLE_BATCH = 2**31 - 1
"""Slice ends from here on mean the end of the axis, whatever its size."""


@imports("Transpose")
def transpose(e: Emitter, node: Node, x: Value) -> Value:
    return e.transpose(x, node.ints("perm", tuple(reversed(range(x.rank)))))


@imports("Concat")
def concat(e: Emitter, node: Node, *parts: Value | None) -> Value:
    present = [p for p in parts if p is not None]
    if not present or len(present) < len(parts):
        raise node.error("an input is left out")
    if len({p.dtype for p in present}) > 1:
        raise node.error(f"inputs have the dtypes {', '.join(sorted({p.dtype.name for p in present}))}")
    return e.op(ConcatOp, *present, axis=e.axis(node.int("axis"), present[0].rank))


@imports("Split")
def split(e: Emitter, node: Node, x: Value, sizes: Value | None = None) -> Sequence[Value]:
    """Part sizes are an attribute before opset 13, then an input; without them parts are even, the last smaller."""
    axis = e.axis(node.int("axis", 0), x.rank)
    e.keep_batch(x, axis)
    size, count = x.shape[axis], len(node.outputs)
    if sizes is not None:
        parts = e.integers(sizes, "the part sizes")
    elif node.has("split"):
        parts = node.ints("split")
    else:
        if node.int("num_outputs", count) != count:
            raise node.error(f"has {count} outputs, but num_outputs is {node.int('num_outputs')}")
        each = -(-size // count)
        if node.opset < 18 and size % count:
            raise node.error(f"axis {axis} of size {size} does not divide into {count} parts")
        parts = tuple(min(each, max(size - i * each, 0)) for i in range(count))
    if len(parts) != count or sum(parts) != size or min(parts) < 0:
        raise node.error(f"parts {list(parts)} for {count} outputs do not fill axis {axis} of size {size}")
    results = []
    for i, part in enumerate(parts):
        starts = [sum(parts[:i]) if a == axis else 0 for a in range(x.rank)]
        results.append(e.slice(x, starts, [*x.shape[:axis], part, *x.shape[axis + 1 :]], (1,) * x.rank))
    return results


@imports("Slice")
def slice_(
    e: Emitter,
    node: Node,
    x: Value,
    starts: Value | None = None,
    ends: Value | None = None,
    axes: Value | None = None,
    steps: Value | None = None,
) -> Value:
    """numpy's slicing. Starts, ends and axes are attributes before opset 10."""
    if node.opset < 10:
        begin, end = node.ints("starts"), node.ints("ends")
        where, stride = node.ints("axes", range(len(begin))), (1,) * len(begin)
    elif starts is None or ends is None:
        raise node.error("expected inputs for starts and ends")
    else:
        begin, end = e.integers(starts, "the starts"), e.integers(ends, "the ends")
        where = e.integers(axes, "the axes") if axes is not None else range(len(begin))
        stride = e.integers(steps, "the steps") if steps is not None else (1,) * len(begin)
    if not len(begin) == len(end) == len(where) == len(stride):
        raise node.error("starts, ends, axes and steps differ in length")
    first, sizes, each = [0] * x.rank, list(x.shape), [1] * x.rank
    for axis, b, s, step in zip(e.axes(where, x.rank), begin, end, stride, strict=True):
        if not step:
            raise node.error("a step is zero")
        if (b, step) != (0, 1) or s < _WHOLE_BATCH:
            e.keep_batch(x, axis)
        picked = range(*slice(b, s, step).indices(x.shape[axis])) if s >= -(2**31) or step > 0 else None
        # An end far below zero with a negative step means "down to and including element 0".
        picked = range(*slice(b, None, step).indices(x.shape[axis])) if picked is None else picked
        first[axis], sizes[axis], each[axis] = (picked.start if picked else 0), len(picked), step
    return e.slice(x, first, sizes, each)


@imports("Gather")
def gather(e: Emitter, node: Node, x: Value, indices: Value) -> Value:
    """numpy.take; constant indices are checked, constant data with them folds."""
    axis = e.axis(node.int("axis", 0), x.rank)
    if (known := indices.array) is not None and known.size:
        size = x.shape[axis]
        if known.dtype.kind not in "iu" or int(known.min()) < -size or int(known.max()) >= size:
            raise node.error(f"an index is outside axis {axis} of size {size}")
        indices = Value.constant(indices.name, np.where(known < 0, known + size, known))
    return e.op(TakeOp, x, indices, axis=axis)


def _block(node: Node, x: Value) -> int:
    block = node.int("blocksize")
    if x.rank != 4 or block < 1:
        raise node.error(f"expected a tensor of rank 4 and a block of 1 or more, got rank {x.rank} and {block}")
    return block


@imports("DepthToSpace")
def depth_to_space(e: Emitter, node: Node, x: Value) -> Value:
    """[N, C, H, W] -> [N, C / b^2, H b, W b]; the block is the outer part of the channels (DCR) or the inner (CRD)."""
    b, mode = _block(node, x), node.text("mode", "DCR")
    n, c, h, w = x.shape
    if c % (b * b) or mode not in ("DCR", "CRD"):
        raise node.error(f"{c} channels do not fit blocks of {b} in mode '{mode}'")
    depth = c // (b * b)
    if mode == "DCR":
        y = e.transpose(e.reshape(x, (n, b, b, depth, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        y = e.transpose(e.reshape(x, (n, depth, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return e.reshape(y, (n, depth, h * b, w * b))


@imports("SpaceToDepth")
def space_to_depth(e: Emitter, node: Node, x: Value) -> Value:
    """[N, C, H, W] -> [N, C b^2, H / b, W / b], the block outermost."""
    b = _block(node, x)
    n, c, h, w = x.shape
    if h % b or w % b:
        raise node.error(f"blocks of {b} do not divide {h} x {w}")
    y = e.transpose(e.reshape(x, (n, c, h // b, b, w // b, b)), (0, 3, 5, 1, 2, 4))
    return e.reshape(y, (n, c * b * b, h // b, w // b))


@imports("Expand")
def expand(e: Emitter, node: Node, x: Value, shape: Value) -> Value:
    """x broadcast against a shape; both ways, so that a 1 in the shape keeps x's size."""
    target = e.integers(shape, "the shape")
    try:
        sizes = np.broadcast_shapes(x.shape, target)
    except ValueError:
        raise node.error(f"a tensor of shape {list(x.shape)} does not expand to {list(target)}") from None
    e.check_size(sizes)
    if len(sizes) > x.rank:
        e.keep_batch(x, 0)
        x = e.reshape(x, (1,) * (len(sizes) - x.rank) + x.shape)
    return picked(e, x, {axis: np.zeros(d, np.int64) for axis, d in enumerate(sizes) if d != x.shape[axis]})


@imports("Tile")
def tile(e: Emitter, node: Node, x: Value, repeats: Value) -> Value:
    """x so many times along every axis."""
    counts = e.integers(repeats, "the repeats")
    if len(counts) != x.rank or min(counts, default=0) < 0:
        raise node.error(f"repeats {list(counts)} do not fit a tensor of rank {x.rank}")
    sizes = [d * count for d, count in zip(x.shape, counts, strict=True)]
    e.check_size(sizes)
    return picked(e, x, {a: np.arange(sizes[a]) % max(x.shape[a], 1) for a, count in enumerate(counts) if count != 1})


@imports("NonZero", "Range")
def only_constant(e: Emitter, node: Node, *inputs: Value | None) -> Value:
    """These fold when their inputs are constant, which the importer tries first."""
    raise Refusal(f"{node.op_type} of values computed at run time is not supported")
