"""Accumulator ranges from the actual weights: sum over w of the smallest and largest w * x, per output channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation

from ..ir.program import Program
from ..ir.rewrite import retype, tighten
from ..ir.tn.linear import ConvOp, MatMulOp
from ..ir.types import contains, element_of, int_type, is_float, range_of, shape_of, tensor_type
from .base import Pass
from .properties import NO_KERNELS


@dataclass(frozen=True)
class RefineRanges(Pass):
    """Narrows the result ranges of integer convolutions and products with constant weights."""

    name: ClassVar[str] = "refine-ranges"
    requires: ClassVar = (NO_KERNELS,)

    def apply(self, program: Program) -> bool:
        changed = False
        for op in program.ops:
            bounds = _accumulator_bounds(program, op)
            if bounds is None:
                continue
            value = op.results[0]
            element = int_type(*bounds)
            if element != element_of(value) and contains(element_of(value), element):
                retype(value, tensor_type(shape_of(value), element))
                changed = True
        if changed:
            tighten(program)
            program.refresh_type()
        return changed


def _accumulator_bounds(program: Program, op: Operation) -> tuple[int, int] | None:
    """The smallest and largest sum that any input within its range can give; None where weights are not constant."""
    if isinstance(op, ConvOp) and not is_float(op.x):
        x, w = op.x, program.array(op.w)
        bias = None if op.bias is None else program.array(op.bias)
        if w is None or (op.bias is not None and bias is None):
            return None
        rows, padded = w.reshape(len(w), -1), any(op.get("pads"))
    elif isinstance(op, MatMulOp) and not is_float(op.a):
        x, w, bias, padded = op.a, program.array(op.b), None, False
        if w is None or w.ndim < 2:
            return None
        rows = np.moveaxis(w, -1, 0).reshape(w.shape[-1], -1)
        if w.ndim > 2:
            return None
    else:
        return None
    lo, hi = range_of(element_of(x))
    if padded:
        lo, hi = min(lo, 0), max(hi, 0)
    above, below = np.maximum(rows, 0), np.minimum(rows, 0)
    size = float((above.sum(axis=1, dtype=np.float64) - below.sum(axis=1, dtype=np.float64)).max(initial=0))
    if max(abs(lo), abs(hi)) * size >= 2.0**62:
        return None
    positive, negative = above.sum(axis=1, dtype=np.int64), below.sum(axis=1, dtype=np.int64)
    least, most = positive * lo + negative * hi, positive * hi + negative * lo
    if bias is not None:
        least, most = least + bias, most + bias
    return (int(least.min()), int(most.max())) if len(rows) else (0, 0)
