"""Averages between quantizers become integer arithmetic: the sum of the integers, and one exact rounding.

    quantize(avg_pool(q * s), t)   ->   round(sum_pool(q) * s / (count * t))

with s and t as the rational numbers that their float32 values are. In float32 the products, the sum and the quotient
would each be rounded, and a tie (one average in four of a 2x2 window) falls to either side by accident. This decides
what an imported model means, so it runs on import and nowhere else: later passes keep the results to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, prod
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..ir.program import Program
from ..ir.rewrite import Rules, constant_before, insert, name_of, replace
from ..ir.tn.elementwise import CastOp, ClipOp, MulOp, ReluOp, RoundOp
from ..ir.tn.movement import ReshapeOp, SliceOp, TransposeOp
from ..ir.tn.pool import AvgPoolOp, ReduceMeanOp, ReduceSumOp, SumPoolOp, window_counts
from ..ir.tn.quant import QUOTIENT_LIMIT, DequantizeOp, QuantizeOp, RequantizeOp, ThresholdOp
from ..ir.types import INT64_MAX, element_of, is_float, range_of, shape_of
from .base import RewritePass
from .properties import NO_KERNELS
from .recover_quantizers import MOVES, ROUNDING_CHAINS

AVERAGES = (AvgPoolOp, ReduceMeanOp)
MOVEMENTS = (ReshapeOp, TransposeOp, SliceOp)

fractions = np.frompyfunc(lambda x: Fraction(float(x)), 1, 1)
"""float32 arrays as arrays of the rational numbers that they are."""


def _average_to_integers(program: Program, op: Operation) -> bool:
    """quantize(average(q * s), t): see above."""
    assert isinstance(op, QuantizeOp)
    average, t = op.x.owner, program.array(op.scale)
    if not isinstance(average, AVERAGES) or t is None or t.ndim > len(shape_of(op.x)):
        return False
    found = _summand(program, average)
    if found is None:
        return False
    q, s = found
    ratio = np.asarray(fractions(s) / fractions(t))
    multiplier, divisor = (np.frompyfunc(f, 1, 1)(ratio) for f in (lambda r: r.numerator, lambda r: r.denominator))
    divisor = np.asarray(divisor) * _counts(average).astype(object)
    total = _sums(average, q)
    lo, hi = range_of(element_of(total.results[0]))
    largest = max(abs(lo), abs(hi)) * max(map(abs, np.ravel(multiplier)), default=0)
    if max(largest, *np.ravel(divisor)) >= QUOTIENT_LIMIT or -lo > INT64_MAX:
        total.operands = ()
        return False
    name = name_of(op.result, "average")
    constants = [
        constant_before(program, op, f"{name}.{what}", np.asarray(array, np.int64))
        for what, array in (("multiplier", multiplier), ("divisor", divisor))
    ]
    attributes = {n: op.get(n) for n in ("lo", "hi", "mode")}
    rounded = RequantizeOp.make(insert(op, total), *constants, at=op, **attributes)
    return replace(op, insert(op, rounded))


def _average_to_threshold(program: Program, op: Operation) -> bool:
    """average(q * s) >= T is sum(q) >= T * count / s, which is a whole number rounded up. One count and s > 0."""
    assert isinstance(op, ThresholdOp)
    average, table = op.x.owner, program.array(op.thresholds)
    if not isinstance(average, AVERAGES) or table is None or not np.isfinite(table).all() or op.sign is not None:
        return False
    counts = np.unique(_counts(average))
    found = _summand(program, average) if counts.size == 1 else None
    if found is None or found[1].size != 1 or not (found[1] > 0).all():
        return False
    q, s = found
    total = insert(op, _sums(average, q))
    lo, hi = range_of(element_of(total))
    factor = Fraction(int(counts[0])) / Fraction(float(s.reshape(())))
    exact = np.frompyfunc(lambda t: min(max(ceil(Fraction(float(t)) * factor), lo), hi + 1), 1, 1)
    thresholds = np.asarray(exact(table)).astype(np.int64)
    constant = constant_before(program, op, f"{name_of(op.result, 'average')}.thresholds", thresholds)
    attributes = {n: op.get(n) for n in ("axis", "base", "step")}
    return replace(op, insert(op, ThresholdOp.make(total, constant, at=op, **attributes)))


def _summand(program: Program, average: AvgPoolOp | ReduceMeanOp) -> tuple[SSAValue, np.ndarray] | None:
    """The integers q and the scale s of an average's operand q * s: one number, or one for each channel of a pool."""
    above = average.x.owner
    if isinstance(above, CastOp) and not is_float(above.x):
        return above.x, np.ones((), np.float32)
    if not isinstance(above, DequantizeOp) or shape_of(above.q) != shape_of(average.x):
        return None
    s = program.array(above.scale)
    if s is None or not np.isfinite(s).all():
        return None
    if s.size == 1:
        return above.q, s.reshape(())
    rank = len(shape_of(average.x))
    along = {i + rank - s.ndim for i, size in enumerate(s.shape) if size > 1}
    fits = isinstance(average, AvgPoolOp) and along == {1}
    return (above.q, s) if fits else None


def _counts(average: AvgPoolOp | ReduceMeanOp) -> np.ndarray:
    """How many elements each mean is of: int64, one number or [1, 1, *S'] by output pixel; at least 1."""
    if isinstance(average, ReduceMeanOp):
        return np.asarray(max(prod(shape_of(average.x)[a] for a in average.get("axes")), 1))
    counts = np.ones((1, 1), np.int64)
    for along in window_counts(average, average.get("counted")):
        counts = counts[..., None] * along
    return np.maximum(counts.flat[0] if np.all(counts == counts.flat[:1]) and counts.size else counts, 1)


def _sums(average: AvgPoolOp | ReduceMeanOp, q: SSAValue) -> SumPoolOp | ReduceSumOp:
    if isinstance(average, ReduceMeanOp):
        attributes = {n: average.get(n) for n in ("axes", "keepdims")}
        return ReduceSumOp.make(q, at=average, **attributes)
    attributes = {n: average.get(n) for n in ("kernel", "strides", "pads", "dilations")}
    return SumPoolOp.make(q, at=average, **attributes)


def _before_movement(program: Program, op: Operation) -> bool:
    """quantize(move(average)) is move(quantize(average)) with one scale."""
    assert isinstance(op, QuantizeOp)
    move, t = op.x.owner, program.array(op.scale)
    if not isinstance(move, MOVEMENTS) or t is None or t.size != 1 or not _of_average(move):
        return False
    scale = constant_before(program, op, name_of(op.scale), t.reshape(()), op.scale)
    early = QuantizeOp.make(move.x, scale, at=op, **{n: op.get(n) for n in ("lo", "hi", "mode")})
    late = type(move).make(insert(op, early), at=move, **{n: move.get(n) for n in move.properties})
    return replace(op, insert(op, late))


def _before_bounds(program: Program, op: Operation) -> bool:
    """quantize(relu(average)) is quantize(average) from 0 on, for a positive scale."""
    assert isinstance(op, QuantizeOp)
    relu, t = op.x.owner, program.array(op.scale)
    if not isinstance(relu, ReluOp) or t is None or not (t > 0).all() or not _of_average(relu):
        return False
    lo, hi = min(max(op.get("lo"), 0), op.get("hi")), op.get("hi")
    return replace(op, insert(op, QuantizeOp.make(relu.x, op.scale, at=op, lo=lo, hi=hi, mode=op.get("mode"))))


def _of_average(op: Operation) -> bool:
    """Whether movements and a relu lead from an average to the operation."""
    while isinstance(op, (*MOVEMENTS, ReluOp)):
        above = op.operands[0].owner
        if not isinstance(above, Operation):
            return False
        op = above
    return isinstance(op, AVERAGES)


RULES: Rules = {
    **MOVES,
    ClipOp: ROUNDING_CHAINS[ClipOp],
    RoundOp: ROUNDING_CHAINS[RoundOp],
    MulOp: ROUNDING_CHAINS[MulOp],
    QuantizeOp: (_before_movement, _before_bounds, _average_to_integers),
    ThresholdOp: (_average_to_threshold,),
}


@dataclass(frozen=True)
class ExactAverages(RewritePass):
    """AvgPool and ReduceMean of integers between quantizers are integer arithmetic."""

    name: ClassVar[str] = "exact-averages"
    requires: ClassVar = (NO_KERNELS,)

    def rules(self) -> Rules:
        return RULES

    def apply(self, program: Program) -> bool:
        return any(isinstance(op, AVERAGES) for op in program.ops) and super().apply(program)
