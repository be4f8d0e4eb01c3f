"""Removes what does nothing and merges what can be one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation

from ..ir.program import Program
from ..ir.rewrite import Rules, constant_before, insert, name_of, replace
from ..ir.tn.elementwise import AddOp, CastOp, ClipOp, MaxOp, MinOp, ReluOp, SubOp
from ..ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TransposeOp
from ..ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ..ir.types import contains, element_of, is_float, range_of, shape_of
from .base import RewritePass
from .bound_rules import bound_by_constant, nested_bounds, quantize_of_bounds
from .level_rules import clip_of_quantize, sum_of_thresholds, threshold_of_threshold
from .properties import NO_KERNELS

MOST_EXACT = 1 << 24
"""Integers up to here are floats without rounding."""


def _same_shape(program: Program, op: Operation) -> bool:
    """Reshape to the shape it already has."""
    return shape_of(op.operands[0]) == shape_of(op.results[0]) and replace(op, op.operands[0])


def _merge_reshapes(program: Program, op: Operation) -> bool:
    """reshape(reshape(x)) is one reshape."""
    inner = op.operands[0].owner
    if not isinstance(inner, ReshapeOp):
        return False
    return replace(op, insert(op, ReshapeOp.make(inner.x, shape=shape_of(op.results[0]), at=op)))


def _no_transpose(program: Program, op: Operation) -> bool:
    """A transpose that moves nothing but axes of size 1 is a reshape (or nothing)."""
    assert isinstance(op, TransposeOp)
    x = shape_of(op.x)
    moved = [p for p in op.get("perm") if x[p] != 1]
    if moved != sorted(moved):
        return False
    return replace(op, insert(op, ReshapeOp.make(op.x, shape=shape_of(op.result), at=op)))


def _merge_transposes(program: Program, op: Operation) -> bool:
    assert isinstance(op, TransposeOp)
    inner = op.x.owner
    if not isinstance(inner, TransposeOp):
        return False
    perm = [inner.get("perm")[p] for p in op.get("perm")]
    return replace(op, insert(op, TransposeOp.make(inner.x, perm=perm, at=op)))


def _whole_slice(program: Program, op: Operation) -> bool:
    assert isinstance(op, SliceOp)
    whole = op.get("sizes") == shape_of(op.x) and all(
        step > 0 or size <= 1 for step, size in zip(op.get("steps"), op.get("sizes"), strict=True)
    )
    return whole and replace(op, op.x)


def _no_pad(program: Program, op: Operation) -> bool:
    assert isinstance(op, PadOp)
    return not any(op.get("pads")) and replace(op, op.x)


def _single_concat(program: Program, op: Operation) -> bool:
    return len(op.operands) == 1 and replace(op, op.operands[0])


def _no_relu(program: Program, op: Operation) -> bool:
    """relu of integers that are never negative."""
    x = op.operands[0]
    return not is_float(x) and range_of(element_of(x))[0] >= 0 and replace(op, x)


def _no_clip(program: Program, op: Operation) -> bool:
    """A clip whose bounds lie outside the integers' range."""
    assert isinstance(op, ClipOp)
    if is_float(op.x):
        return False
    lo, hi = range_of(element_of(op.x))
    return op.get("lo") <= lo and hi <= op.get("hi") and replace(op, op.x)


def _no_cast(program: Program, op: Operation) -> bool:
    """Integers cast to a wider range keep their values; the tighter type is the better one."""
    x, y = element_of(op.operands[0]), element_of(op.results[0])
    return contains(y, x) and replace(op, op.operands[0])


def _cast_of_integers(program: Program, op: Operation) -> bool:
    """Integers that became floats with scale 1 and are cast back, to a range that holds them."""
    inner = op.operands[0].owner
    if not isinstance(inner, DequantizeOp) or (scale := program.array(inner.scale)) is None or not (scale == 1).all():
        return False
    q, y = element_of(inner.q), element_of(op.results[0])
    if shape_of(inner.q) != shape_of(op.results[0]) or max(map(abs, range_of(q))) > MOST_EXACT:
        return False
    return contains(y, q) and replace(op, inner.q)


def _subtract_constant(program: Program, op: Operation) -> bool:
    """Integer x - c becomes x + (-c), so that zero points meet as adds."""
    assert isinstance(op, SubOp)
    c = program.array(op.b)
    if c is None or is_float(op.b):
        return False
    negative = constant_before(program, op, name_of(op.b) + ".neg", -c.astype(np.int64), op.b)
    return replace(op, insert(op, AddOp.make(op.a, negative, at=op)))


def _add_constants(program: Program, op: Operation) -> bool:
    """Integer (x + c) + d becomes x + (c + d); x + 0 becomes x."""
    assert isinstance(op, AddOp)
    d = program.array(op.b)
    if d is None or is_float(op.b):
        return False
    if not d.any() and shape_of(op.a) == shape_of(op.result):
        return replace(op, op.a)
    inner = op.a.owner
    if not isinstance(inner, AddOp) or (c := program.array(inner.b)) is None:
        return False
    total = constant_before(program, op, name_of(op.b), c.astype(np.int64) + d.astype(np.int64), op.b)
    return replace(op, insert(op, AddOp.make(inner.a, total, at=op)))


RULES: Rules = {
    ReshapeOp: (_same_shape, _merge_reshapes),
    TransposeOp: (_no_transpose, _merge_transposes),
    SliceOp: (_whole_slice,),
    PadOp: (_no_pad,),
    ConcatOp: (_single_concat,),
    ReluOp: (_no_relu, nested_bounds),
    ClipOp: (_no_clip, nested_bounds, clip_of_quantize),
    MaxOp: (bound_by_constant,),
    MinOp: (bound_by_constant,),
    QuantizeOp: (quantize_of_bounds,),
    ThresholdOp: (threshold_of_threshold,),
    CastOp: (_no_cast, _cast_of_integers),
    SubOp: (_subtract_constant, sum_of_thresholds),
    AddOp: (_add_constants, sum_of_thresholds),
}


@dataclass(frozen=True)
class Canonicalize(RewritePass):
    """Removes what does nothing and merges what can be one."""

    name: ClassVar[str] = "canonicalize"
    requires: ClassVar = (NO_KERNELS,)

    def rules(self) -> Rules:
        return RULES
