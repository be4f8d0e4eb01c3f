"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from ...ir.errors import IRError
from ...ir.locations import describe
from ...ir.tn.pool import (
    ArgMaxOp,
    AvgPoolOp,
    MaxPoolOp,
    PoolOp,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceSumOp,
    SumPoolOp,
    TopKOp,
    window_counts,
)
from ...ir.types import INT64_MIN, shape_of
from .meaning import meaning


def _taps(op: PoolOp, x: np.ndarray, border: float | int) -> Iterator[np.ndarray]:
    """For each position in the window, that element of all windows: [N, C, *S'] views of the padded x."""
    pads, rank = op.get("pads"), x.ndim - 2
    if any(pads):
        edges = [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))]
        x = np.pad(x, edges, constant_values=border)
    strides, dilations, size = op.get("strides"), op.get("dilations"), shape_of(op.y)[2:]
    for tap in product(*map(range, op.get("kernel"))):
        starts = [t * d for t, d in zip(tap, dilations, strict=True)]
        yield x[(..., *(slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(starts, size, strides, strict=True)))]


@meaning(MaxPoolOp)
def max_pool(op: MaxPoolOp, x: np.ndarray) -> np.ndarray:
    if not all(count.all() for count in window_counts(op, [0] * len(op.get("pads")))):
        raise IRError("a pooling window lies wholly in padding", where=describe(op), hint="use smaller pads")
    taps = _taps(op, x, -np.inf if x.dtype.kind == "f" else INT64_MIN)
    best = next(taps).copy()
    for tap in taps:
        np.maximum(best, tap, out=best)
    return best


@meaning(SumPoolOp)
def sum_pool(op: PoolOp, x: np.ndarray) -> np.ndarray:
    taps = _taps(op, x, 0)
    total = next(taps).copy()
    for tap in taps:
        total += tap
    return total


@meaning(AvgPoolOp)
def avg_pool(op: AvgPoolOp, x: np.ndarray) -> np.ndarray:
    total = sum_pool(op, x)
    divisor = np.ones((), np.int64)
    for count in window_counts(op, op.get("counted")):
        divisor = divisor[..., None] * count
    # A window in which nothing counts (all padding) has the sum 0 and gives 0, as in onnxruntime.
    return total / np.maximum(divisor, 1).astype(np.float32)


@meaning(ReduceMeanOp)
def reduce_mean(op: ReduceMeanOp, x: np.ndarray) -> np.ndarray:
    axes, keep = op.get("axes"), bool(op.get("keepdims"))
    count = max(int(np.prod([x.shape[a] for a in axes])), 1)  # the mean of nothing is 0, as in onnxruntime
    return np.asarray(np.sum(x, axis=axes, keepdims=keep, dtype=x.dtype) / np.float32(count))


@meaning(ReduceSumOp)
def reduce_sum(op: ReduceSumOp, x: np.ndarray) -> np.ndarray:
    """Floats are added in float64 and rounded once."""
    wide = np.float64 if x.dtype.kind == "f" else np.int64
    return np.asarray(np.sum(x, axis=op.get("axes"), keepdims=bool(op.get("keepdims")), dtype=wide)).astype(x.dtype)


@meaning(ReduceMaxOp, ReduceMinOp)
def reduce_extreme(op: ReduceMaxOp | ReduceMinOp, x: np.ndarray) -> np.ndarray:
    pick, none = (np.maximum, -np.inf) if isinstance(op, ReduceMaxOp) else (np.minimum, np.inf)
    start = x.dtype.type(none) if x.dtype.kind == "f" else None
    return np.asarray(pick.reduce(x, axis=op.get("axes"), keepdims=bool(op.get("keepdims")), initial=start))


@meaning(ArgMaxOp)
def arg_max(op: ArgMaxOp, x: np.ndarray) -> np.ndarray:
    axis, pick = op.get("axis"), np.argmax if op.get("largest") else np.argmin
    if not op.get("last"):
        return pick(x, axis=axis, keepdims=True)
    return x.shape[axis] - 1 - pick(np.flip(x, axis), axis=axis, keepdims=True)


@meaning(TopKOp)
def top_k(op: TopKOp, x: np.ndarray) -> list[np.ndarray]:
    axis, k = op.get("axis"), op.get("k")
    if op.get("largest"):
        # Turned round twice, so that a stable ascending sort gives a descending one with equals by lower index.
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    indices = np.take(order, range(k), axis=axis)
    return [np.take_along_axis(x, indices, axis), indices]
