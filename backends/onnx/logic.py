"""Comparisons and choices."""

from __future__ import annotations

import numpy as np

from ...ir.tn.logic import CompareOp, SelectOp
from .forms import form
from .graph import BOOL, FLOAT, Graph, Tensor

RELATIONS = {"ge": "GreaterOrEqual", "gt": "Greater", "eq": "Equal"}


@form(CompareOp)
def compare(graph: Graph, op: CompareOp, a: Tensor, b: Tensor) -> Tensor:
    return graph.cast(graph.op(RELATIONS[op.get("relation")], *graph.together([a, b]), dtype=BOOL), FLOAT)


@form(SelectOp)
def select(graph: Graph, op: SelectOp, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    a, b = graph.together([a, b])
    zero = graph.op("Equal", condition, np.zeros((), condition.dtype), dtype=BOOL)
    return graph.op("Where", zero, b, a, dtype=a.dtype)
