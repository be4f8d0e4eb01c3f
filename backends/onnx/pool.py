"""Pooling and reductions."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np

from ...ir.tn import pool as tn
from ...ir.types import element_of, shape_of
from .forms import form
from .graph import DOUBLE, EXACT, INT64, Graph, Tensor, largest
from .linear import exact_conv
from .movement import padded

REDUCTIONS = {
    tn.ReduceMeanOp: "ReduceMean",
    tn.ReduceSumOp: "ReduceSum",
    tn.ReduceMaxOp: "ReduceMax",
    tn.ReduceMinOp: "ReduceMin",
}


@form(tn.MaxPoolOp)
def max_pool(graph: Graph, op: tn.MaxPoolOp, x: Tensor) -> Tensor:
    """Integers that float32 does not hold as float64."""
    wide = graph.cast(x, DOUBLE) if x.dtype == INT64 else x
    wide, pads = _fitting_pads(graph, op, wide, -np.inf)
    result = graph.op("MaxPool", wide, pads=pads, **_window(op))
    return graph.cast(result, x.dtype)


@form(tn.AvgPoolOp)
def avg_pool(graph: Graph, op: tn.AvgPoolOp, x: Tensor) -> Tensor:
    axes = tn.window_counts(op, op.get("counted"))
    counts = reduce(np.multiply.outer, axes).astype(np.float32)
    inside = reduce(np.multiply.outer, tn.window_counts(op, [0] * len(op.get("counted"))))
    narrow = all(p < k for p, k in zip(op.get("pads"), op.get("kernel") * 2, strict=True))
    padding_counts = bool(np.all(counts == prod(op.get("kernel"))))
    if narrow and (padding_counts or (np.all(counts == inside) and counts.all())):
        pads, included = list(op.get("pads")), int(padding_counts)
        return graph.op("AveragePool", x, pads=pads, count_include_pad=included, **_window(op))
    return graph.op("Div", graph.op("Conv", x, _ones(op), **_adding(op)), np.maximum(counts, 1)[None, None])


@form(tn.SumPoolOp)
def sum_pool(graph: Graph, op: tn.SumPoolOp, x: Tensor) -> Tensor:
    window = _adding(op)
    count = prod(op.get("kernel"))
    if count * largest(element_of(op.x)) <= EXACT:
        return graph.op("Conv", x, _ones(op), **window)
    return exact_conv(graph, op, x, graph.constant(_ones(op)), count, **window)


def _ones(op: tn.PoolOp) -> np.ndarray:
    """The weights of a convolution that adds up each channel's windows."""
    return np.ones((shape_of(op.x)[1], 1, *op.get("kernel")), np.float32)


def _adding(op: tn.PoolOp) -> dict[str, Any]:
    """That convolution's attributes."""
    window = {name: list(op.get(name)) for name in ("strides", "pads", "dilations")}
    return {**window, "group": shape_of(op.x)[1]}


def _window(op: tn.PoolOp) -> dict[str, Any]:
    return {"kernel_shape": list(op.get("kernel"))} | {name: list(op.get(name)) for name in ("strides", "dilations")}


def _fitting_pads(graph: Graph, op: tn.PoolOp, x: Tensor, value: float) -> tuple[Tensor, list[int]]:
    """The operand and pads; onnxruntime pools no pad as wide as the kernel, so such pads are made beforehand."""
    pads = op.get("pads")
    if all(p < k for p, k in zip(pads, op.get("kernel") * 2, strict=True)):
        return x, list(pads)
    rank = len(op.get("kernel"))
    return padded(graph, x, (0, 0, *pads[:rank], 0, 0, *pads[rank:]), value), [0] * len(pads)


@form(*REDUCTIONS)
def reduction(graph: Graph, op: tn.ReduceOp, x: Tensor) -> Tensor:
    if not op.get("axes"):
        return x
    (x,) = graph.together([x], op.y)
    return graph.op(REDUCTIONS[type(op)], x, np.array(op.get("axes"), np.int64), keepdims=op.get("keepdims"))


@form(tn.ArgMaxOp)
def arg_max(graph: Graph, op: tn.ArgMaxOp, x: Tensor) -> Tensor:
    kind = "ArgMax" if op.get("largest") else "ArgMin"
    wide = graph.cast(x, DOUBLE) if x.dtype == INT64 else x
    return graph.op(kind, wide, axis=op.get("axis"), select_last_index=op.get("last"), dtype=INT64)


@form(tn.TopKOp)
def top_k(graph: Graph, op: tn.TopKOp, x: Tensor) -> list[Tensor]:
    k = np.array([op.get("k")], np.int64)
    return graph.ops("TopK", x, k, dtypes=(None, INT64), axis=op.get("axis"), largest=op.get("largest"))
