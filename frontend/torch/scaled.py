"""Constant weights that a model computes as whole numbers times a scale: they stay so, as their product alone does not
always say which integers it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.tn.quant import DequantizeOp
from ..emitter import Emitter
from ..values import FLOAT, Value

BYTE = np.iinfo(np.int8)
"""What the integers fit."""


def scaled_integers(e: Emitter, key: str, args: Sequence[Any]) -> Value | None:
    """tn.dequantize for a product of constants, of which one is a matrix of small whole numbers or more and the other
    one number or one for each index of an axis; None for other operators and numbers."""
    if key != "aten.mul.Tensor":
        return None
    for q, scale in (args, args[::-1]):
        if not (isinstance(q, Value) and isinstance(scale, Value)):
            return None
        whole, factor = q.array, scale.array
        if whole is None or factor is None or whole.dtype != FLOAT or factor.dtype != FLOAT or whole.ndim < 2:
            continue
        if factor.size >= whole.size or sum(d > 1 for d in factor.shape) > 1 or not np.isfinite(factor).all():
            continue
        fits = np.broadcast_shapes(whole.shape, factor.shape) == whole.shape
        if fits and np.array_equal(whole, whole.clip(BYTE.min, BYTE.max).round()):
            integers = Value.constant(f"{q.name}.q", whole.astype(np.int8))
            return e.op(DequantizeOp, integers, scale, dtype=FLOAT)
    return None
