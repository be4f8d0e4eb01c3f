"""Operations that move elements and compute nothing."""

from __future__ import annotations

import numpy as np

from ...ir.errors import InputError
from ...ir.kn.kernel import ConvertOp
from ...ir.locations import describe
from ...ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from .meaning import meaning


@meaning(ConvertOp)
def convert(op: ConvertOp, x: np.ndarray) -> np.ndarray:
    return x


@meaning(ReshapeOp)
def reshape(op: ReshapeOp, x: np.ndarray) -> np.ndarray:
    return x.reshape(op.get("shape"))


@meaning(TransposeOp)
def transpose(op: TransposeOp, x: np.ndarray) -> np.ndarray:
    return x.transpose(op.get("perm"))


@meaning(ConcatOp)
def concat(op: ConcatOp, *parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=op.get("axis"))


@meaning(SliceOp)
def slice_(op: SliceOp, x: np.ndarray) -> np.ndarray:
    index = []
    for start, size, step in zip(op.get("starts"), op.get("sizes"), op.get("steps"), strict=True):
        stop = start + size * step
        # A negative stop would count from the end; None is the way to say "down to the first element".
        index.append(slice(start, stop if stop >= 0 else None, step) if size else slice(0, 0))
    return x[tuple(index)]


@meaning(PadOp)
def pad(op: PadOp, x: np.ndarray) -> np.ndarray:
    pads = op.get("pads")
    edges = [(pads[i], pads[i + x.ndim]) for i in range(x.ndim)]
    return np.pad(x, edges, constant_values=x.dtype.type(op.get("value"))) if x.ndim else x


@meaning(TakeOp)
def take(op: TakeOp, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    size = x.shape[op.get("axis")]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise InputError(f"an index is outside of -{size}..{size - 1}", where=describe(op))
    return np.take(x, indices, axis=op.get("axis"))
