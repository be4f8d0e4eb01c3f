"""Operations that move elements. The leading axis of a batched program's values stays open."""

from __future__ import annotations

import numpy as np

from ...ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from ...ir.types import shape_of
from .forms import form
from .graph import INT64, Graph, Tensor

TO_THE_FRONT = -(1 << 62)
"""An end of a slice with a negative step that takes the first element too."""


@form(ReshapeOp)
def reshape(graph: Graph, op: ReshapeOp, x: Tensor) -> Tensor:
    shape = np.array(op.get("shape"), np.int64)
    if not graph.program.batched or shape.tolist()[:1] != [1]:
        return graph.op("Reshape", x, shape, allowzero=int(0 in shape))
    if 0 not in shape:
        return graph.op("Reshape", x, np.array([-1, *shape[1:]]))
    batch = graph.op("Shape", x, end=1, dtype=INT64)  # -1 stands for nothing where there are no elements
    return graph.op("Reshape", x, graph.op("Concat", batch, shape[1:], axis=0), allowzero=1)


@form(TransposeOp)
def transpose(graph: Graph, op: TransposeOp, x: Tensor) -> Tensor:
    return graph.op("Transpose", x, perm=list(op.get("perm")))


@form(ConcatOp)
def concat(graph: Graph, op: ConcatOp, *parts: Tensor) -> Tensor:
    return graph.op("Concat", *graph.together(parts, op.y), axis=op.get("axis"))


@form(SliceOp)
def slice_op(graph: Graph, op: SliceOp, x: Tensor) -> Tensor:
    """Only axes that lose or move elements, so that a batch may have any size."""
    rows = zip(shape_of(op.x), op.get("starts"), op.get("sizes"), op.get("steps"), strict=True)
    changed = [(axis, *what) for axis, (whole, *what) in enumerate(rows) if what != [0, whole, 1]]
    if not changed:
        return x
    axes, starts, sizes, steps = (list(column) for column in zip(*changed, strict=True))
    ends = []
    for start, size, step in zip(starts, sizes, steps, strict=True):
        end = start + size * step if size else start
        ends.append(end if end >= 0 else TO_THE_FRONT)
    return graph.op("Slice", x, *(np.array(v, np.int64) for v in (starts, ends, axes, steps)))


@form(PadOp)
def pad(graph: Graph, op: PadOp, x: Tensor) -> Tensor:
    (x,) = graph.together([x], op.y)
    return padded(graph, x, op.get("pads"), op.get("value"))


def padded(graph: Graph, x: Tensor, pads: tuple[int, ...], value: float) -> Tensor:
    """x inside a border; pads: begins of all axes, then ends."""
    return graph.op("Pad", x, np.array(pads, np.int64), np.array(value).astype(x.dtype)) if any(pads) else x


@form(TakeOp)
def take(graph: Graph, op: TakeOp, x: Tensor, indices: Tensor) -> Tensor:
    return graph.op("Gather", x, graph.cast(indices, INT64), axis=op.get("axis"))
