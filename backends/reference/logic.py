"""Comparisons and choices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.tn.logic import CompareOp, SelectOp
from .meaning import meaning

_COMPARISONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ge": np.greater_equal,
    "gt": np.greater,
    "eq": np.equal,
}


@meaning(CompareOp)
def compare(op: CompareOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(_COMPARISONS[op.get("relation")](a, b)).astype(np.int64)


@meaning(SelectOp)
def select(op: SelectOp, condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(condition != 0, a, b)
