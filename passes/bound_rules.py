"""Bounds meet: a clip, relu, or max and min with one number, of each other, before a quantizer and after a dequantize.

Exporters write the range of an activation in all of these ways, and only the tightest says how many levels it has.
"""

from __future__ import annotations

from math import inf

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..backends.reference.interpreter import evaluate
from ..ir.program import Program
from ..ir.rewrite import constant_before, insert, name_of, replace, sole_user
from ..ir.tn.elementwise import ClipOp, MaxOp, MinOp, ReluOp
from ..ir.tn.quant import DequantizeOp, QuantizeOp
from ..ir.types import element_of, is_float, range_of, shape_of

MOST_EXACT = 1 << 53
"""Integers up to here are float64 bounds without rounding."""


def bounds_of(op: Operation) -> tuple[float, float] | None:
    """What a clip or relu holds its operand between; None for other operations."""
    if isinstance(op, ReluOp):
        return 0.0, inf
    return (op.get("lo"), op.get("hi")) if isinstance(op, ClipOp) else None


def _bounded(x: SSAValue, lo: float, hi: float, at: Operation) -> Operation:
    return ReluOp.make(x, at=at) if (lo, hi) == (0, inf) else ClipOp.make(x, lo=lo, hi=hi, at=at)


def bound_by_constant(program: Program, op: Operation) -> bool:
    """max(x, c) and min(x, c) are clips where c is one number, though it may be there for each channel."""
    assert isinstance(op, MaxOp | MinOp)
    for x, bound in ((op.a, op.b), (op.b, op.a)):
        c = program.array(bound)
        if c is None or c.size == 0 or shape_of(x) != shape_of(op.y) or not (c == c.flat[0]).all():
            continue
        value = c.flat[0].item()
        if (is_float(x) and value == 0 and x is op.b) or abs(value) > MOST_EXACT:  # zeros have signs
            return False
        lo, hi = (float(value), inf) if isinstance(op, MaxOp) else (-inf, float(value))
        return replace(op, insert(op, ClipOp.make(x, lo=lo, hi=hi, at=op)))
    return False


def nested_bounds(program: Program, op: Operation) -> bool:
    """clip(clip(x)), relu(clip(x)) and clip(relu(x)) are one clip, where no one else reads what is between."""
    inner, outer = op.operands[0].owner, bounds_of(op)
    first = bounds_of(inner) if isinstance(inner, Operation) else None
    if first is None or outer is None or outer[0] > outer[1] or sole_user(op.operands[0]) is not op:
        return False
    lo, hi = (min(max(bound, outer[0]), outer[1]) for bound in first)
    return replace(op, insert(op, _bounded(inner.operands[0], lo, hi, op)))  # type: ignore[union-attr]


def quantize_of_bounds(program: Program, op: Operation) -> bool:
    """quantize(clip(x)) is a quantize with tighter bounds: q never falls, so q(clip(x, a, b)) = clip(q(x), q(a), q(b)).
    Not where it would change what NaN gives, the level of 0, nor where channels have other levels."""
    assert isinstance(op, QuantizeOp)
    inner, scale = op.x.owner, program.array(op.scale)
    bounds = bounds_of(inner) if isinstance(inner, Operation) else None
    if bounds is None or scale is None or not (scale > 0).all() or sole_user(op.x) is not op or bounds[0] > bounds[1]:
        return False
    ends = [evaluate(op, [np.full(scale.shape, end, np.float32), scale])[0] for end in (*bounds, 0.0)]
    if any((levels != levels.flat[0]).any() for levels in ends):
        return False
    lo, hi, zero = (int(levels.flat[0]) for levels in ends)
    if not lo <= zero <= hi:
        return False
    new = QuantizeOp.make(inner.operands[0], op.scale, lo=lo, hi=hi, mode=op.get("mode"), at=op)  # type: ignore[union-attr]
    return replace(op, insert(op, new))


def clip_of_dequantize(program: Program, op: Operation) -> bool:
    """clip(q * s) is clip(q) * s for one s > 0, where the bounds are multiples of s, or out of reach."""
    assert isinstance(op, ClipOp)
    inner = op.x.owner
    if not isinstance(inner, DequantizeOp) or shape_of(inner.q) != shape_of(op.x):
        return False
    scale = program.array(inner.scale)
    if scale is None or scale.size != 1 or not scale.flat[0] > 0 or op.get("lo") > op.get("hi"):
        return False
    low, high = range_of(element_of(inner.q))
    lo, hi = (_level(op.get(bound), np.float32(scale.flat[0]), low, high) for bound in ("lo", "hi"))
    if lo is None or hi is None or lo == inf or hi == -inf:  # an end beyond all levels is the result, and no level
        return False
    q = insert(op, ClipOp.make(inner.q, lo=lo, hi=hi, at=op))
    one = constant_before(program, op, name_of(inner.scale), scale.reshape(()), inner.scale)
    return replace(op, insert(op, DequantizeOp.make(q, one, at=op)))


def _level(bound: float, scale: np.float32, low: int, high: int) -> float | None:
    """The level q of low..high at which q * scale is the bound; an infinity for one beyond, None between levels."""
    value = np.float32(bound)
    with np.errstate(over="ignore"):
        if value <= np.float32(low) * scale:
            return -inf if value < np.float32(low) * scale else float(low)
        if value >= np.float32(high) * scale:
            return inf if value > np.float32(high) * scale else float(high)
        level = np.rint(value / scale)
        return float(level) if np.float32(level) * scale == value else None
