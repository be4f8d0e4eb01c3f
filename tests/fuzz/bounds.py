"""Between which values each output of a program may lie, whatever the order in which float32 sums are added.

Every value is an interval of float64 numbers. An operation widens it by what float32 can round, unless its result is
exact in float32 in any order. So a quantizer's result is an interval of more than one integer only where the exact
value lies within float32 rounding of a boundary: a tie, and what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import IsTerminator

from tercet.backends.reference.elementwise import ROUNDINGS
from tercet.backends.reference.linear import columns
from tercet.backends.reference.meaning import MEANING
from tercet.ir.kn.kernel import ConvertOp, KernelOp
from tercet.ir.operation import TensorOperation
from tercet.ir.program import Program
from tercet.ir.tn import elementwise as ew
from tercet.ir.tn import functions
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from tercet.ir.tn.logic import CompareOp, SelectOp
from tercet.ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TakeOp, TransposeOp
from tercet.ir.tn.pool import (
    ArgMaxOp,
    AvgPoolOp,
    MaxPoolOp,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceSumOp,
    SumPoolOp,
    TopKOp,
)
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, RequantizeOp, SelectThresholdOp, ThresholdOp
from tercet.ir.types import element_of, is_float, range_of

from .intervals import ROUNDING, STEPS, Array, Interval, grid, rounded

SMOOTH = 2e-6
"""How far implementations of exp and tanh may be apart, relative to results of about 1."""


def _summed(
    op: TensorOperation, a: Interval, b: Interval, dot: Callable[[Array, Array], Array], terms: int
) -> Interval:
    """A bilinear sum of products of `terms` terms."""
    with np.errstate(all="ignore"):
        ca, ra, cb, rb = (a.lo + a.hi) / 2, (a.hi - a.lo) / 2, (b.lo + b.hi) / 2, (b.hi - b.lo) / 2
        center, sizes = dot(ca, cb), dot(np.abs(ca) + ra, np.abs(cb) + rb)
        radius = np.zeros_like(center)
        if not (a.points and b.points):
            radius = dot(np.abs(ca), rb) + dot(ra, np.abs(cb) + rb)
        y = Interval(center - radius, center + radius)
        if not is_float(op.results[0]):
            return y
        if a.points and b.points and np.all(np.isfinite(ca)) and np.all(np.isfinite(cb)):
            if np.all(sizes <= grid(ca) * grid(cb) * 2.0**24):
                return y
        return rounded(y, (terms + STEPS) * ROUNDING * sizes + 1e-45 * terms)


def _conv(op: ConvOp, x: Interval, w: Interval, bias: Interval | None = None) -> Interval:
    pads, group, n = op.get("pads"), op.get("group"), x.lo.ndim - 2

    def dot(a: Array, b: Array) -> Array:
        a = np.pad(a, [(0, 0), (0, 0), *((pads[i], pads[i + n]) for i in range(n))])
        taps = columns(a, b.shape[2:], op.get("strides"), op.get("dilations"))
        size, terms = taps.shape[2 + n :], int(np.prod(b.shape[1:]))
        y = b.reshape(group, b.shape[0] // group, terms) @ taps.reshape(a.shape[0], group, terms, int(np.prod(size)))
        return y.reshape(a.shape[0], b.shape[0], *size)

    y = _summed(op, x, w, dot, int(np.prod(w.lo.shape[1:])))
    if bias is None:
        return y
    rows = (-1, *(1,) * n)
    return _exact_or_rounded(op, Interval(y.lo + bias.lo.reshape(rows), y.hi + bias.hi.reshape(rows)))


def _matmul(op: MatMulOp, a: Interval, b: Interval) -> Interval:
    return _summed(op, a, b, np.matmul, a.lo.shape[-1])


def _exact_or_rounded(op: TensorOperation, y: Interval) -> Interval:
    """Integers beyond 2^53 may have wrapped, and float64 does not hold them: they may be anything."""
    if is_float(op.results[0]):
        return rounded(y)
    beyond = (y.lo < -(2.0**53)) | (y.hi > 2.0**53)
    return y.around(np.full((), -np.inf), beyond).around(np.full((), np.inf), beyond)


def _add(op: TensorOperation, a: Interval, b: Interval) -> Interval:
    return _exact_or_rounded(op, Interval.of(a.lo + b.lo, a.hi + b.hi))


def _sub(op: TensorOperation, a: Interval, b: Interval) -> Interval:
    return _exact_or_rounded(op, Interval.of(a.lo - b.hi, a.hi - b.lo))


def _corners(f: Callable[[Array, Array], Array], a: Interval, b: Interval) -> Interval:
    return Interval.of(*(f(x, y) for x, y in product((a.lo, a.hi), (b.lo, b.hi))))


def _mul(op: TensorOperation, a: Interval, b: Interval) -> Interval:
    return _exact_or_rounded(op, _corners(np.multiply, a, b))


def _div(op: TensorOperation, a: Interval, b: Interval) -> Interval:
    if is_float(op.results[0]):
        y = _corners(np.divide, a, b)
        pole = b.straddles | (((b.lo == 0) | (b.hi == 0)) & (b.lo != b.hi))
        return rounded(y.around(np.full((), -np.inf), pole).around(np.full((), np.inf), pole))
    return _corners(lambda x, y: np.where(y == 0, 0, np.trunc(x / np.where(y == 0, 1, y))), a, b)


def _prelu(op: TensorOperation, a: Interval, b: Interval) -> Interval:
    y = _corners(lambda x, s: np.where(x >= 0, x, x * s), a, b)
    return _exact_or_rounded(op, y.around(np.zeros(()), np.broadcast_to(a.straddles, y.lo.shape)))


def _leaky(op: TensorOperation, x: Interval) -> Interval:
    alpha = float(np.float32(op.get("alpha")))
    return rounded(x.map(lambda v: np.where(v >= 0, v, alpha * v)).around(np.zeros(()), x.straddles))


def _hard_swish(op: TensorOperation, x: Interval) -> Interval:
    y = x.map(lambda v: v * np.clip(v / 6 + 0.5, 0, 1))
    least = (x.lo < -1.5) & (x.hi > -1.5)
    return rounded(
        y.around(np.full((), -0.375), least), STEPS * ROUNDING * np.maximum(np.abs(x.lo), np.abs(x.hi)) + 1e-45
    )


def _hard_sigmoid(op: TensorOperation, x: Interval) -> Interval:
    alpha, beta = float(np.float32(op.get("alpha"))), float(np.float32(op.get("beta")))
    inner = rounded(rounded(x.map(lambda v: alpha * v)).map(lambda v: v + beta))
    return inner.map(lambda v: np.clip(v, 0, 1))


def _clip(op: TensorOperation, x: Interval) -> Interval:
    lo, hi = op.get("lo"), op.get("hi")
    if is_float(op.results[0]):
        lo, hi = float(np.float32(lo)), float(np.float32(hi))
    return x.map(lambda v: np.minimum(np.maximum(v, lo), hi))


def _saturated(x: Array, lo: float, hi: float) -> Array:
    return np.clip(np.nan_to_num(x, nan=0.0, posinf=hi, neginf=lo), lo, hi)


def _cast(op: TensorOperation, x: Interval) -> Interval:
    if is_float(op.results[0]):
        return rounded(x)
    lo, hi = range_of(element_of(op.results[0]))
    if is_float(op.operands[0]):
        return x.map(lambda v: _saturated(np.trunc(v), lo, hi))
    if np.all((x.lo >= lo) & (x.hi <= hi)):
        return x
    size = float(hi - lo + 1)
    wrapped = [(v - lo) % size + lo for v in (x.lo, x.hi)]
    torn = wrapped[1] - wrapped[0] != x.hi - x.lo
    return Interval(np.where(torn, lo, wrapped[0]), np.where(torn, hi, wrapped[1]))


def _smooth(function: Callable[[Array], Array]) -> Callable[[TensorOperation, Interval], Interval]:
    return lambda op, x: rounded(x.map(function), SMOOTH)


def _function(op: ew.UnaryOp, x: Interval) -> Interval:
    """Any function of one operand, by the interpreter's meaning at the ends and where it turns."""
    ends = [x.lo, x.hi, *(np.clip(turn, x.lo, x.hi) for turn in op.turns())]
    y = Interval.of(*(np.asarray(MEANING[type(op)](op, v)) for v in ends))
    if op.IN_ORDER:
        return _exact_or_rounded(op, y)
    return rounded(y, SMOOTH * np.maximum(1, np.maximum(np.abs(y.lo), np.abs(y.hi))))


def _power(op: TensorOperation, a: Interval, b: Interval) -> Interval:
    y = _corners(np.power, a, b)
    return rounded(y, SMOOTH * np.maximum(1, np.maximum(np.abs(y.lo), np.abs(y.hi))))


def _softmax(op: TensorOperation, x: Interval) -> Interval:
    if x.lo.ndim == 0 or not x.lo.size:
        return Interval(np.ones_like(x.lo), np.ones_like(x.lo))
    axis = op.get("axis")
    top = x.hi.max(axis=axis, keepdims=True)
    low, high = np.exp(x.lo - top), np.exp(x.hi - top)
    rest_low = low.sum(axis=axis, keepdims=True) - low
    rest_high = high.sum(axis=axis, keepdims=True) - high
    return rounded(Interval.of(low / (low + rest_high), high / (high + rest_low)), SMOOTH)


def _quantize(op: TensorOperation, x: Interval, scale: Interval) -> Interval:
    ratio = rounded(_corners(np.divide, x, scale))
    rounding, lo, hi = ROUNDINGS[op.get("mode")], op.get("lo"), op.get("hi")
    return ratio.map(lambda v: _saturated(rounding(v), lo, hi))


def _batch_norm(
    op: TensorOperation, x: Interval, scale: Interval, bias: Interval, mean: Interval, var: Interval
) -> Interval:
    rows = (-1, *(1,) * (x.lo.ndim - 2))
    k = scale.lo / np.sqrt(var.lo + float(np.float32(op.get("epsilon"))))
    shift = bias.lo - mean.lo * k
    size = (np.abs(bias.lo) + np.abs(mean.lo * k)).reshape(rows)
    k, shift = k.reshape(rows), shift.reshape(rows)
    y = Interval.of(x.lo * k + shift, x.hi * k + shift)
    return rounded(y, 2 * STEPS * ROUNDING * (np.maximum(np.abs(x.lo), np.abs(x.hi)) * np.abs(k) + size) + 1e-45)


def _meaning(op: TensorOperation, *operands: Interval) -> Interval:
    """For operations that are monotone in every operand and round nothing, by the interpreter's meaning."""
    function = MEANING[type(op)]
    low, high = (np.asarray(function(op, *corner)) for corner in ([x.lo for x in operands], [x.hi for x in operands]))
    return Interval.of(low, high)


def _mean_of(op: TensorOperation, x: Interval, y: Interval, sizes: Array, count: int) -> Interval:
    """y: a mean of at most `count` elements; exact where the sum is and the quotient is a float32."""
    exact = x.points and bool(np.all(np.isfinite(x.lo))) and bool(np.all(sizes * count <= grid(x.lo) * 2.0**24))
    return rounded(y) if exact else rounded(y, (count + STEPS) * ROUNDING * sizes + 1e-45)


def _avg_pool(op: AvgPoolOp, x: Interval) -> Interval:
    sizes = MEANING[AvgPoolOp](op, np.maximum(np.abs(x.lo), np.abs(x.hi)))
    return _mean_of(op, x, _meaning(op, x), np.asarray(sizes), int(np.prod(op.get("kernel"))))


def _reduce_mean(op: ReduceMeanOp, x: Interval) -> Interval:
    axes, keep = op.get("axes"), bool(op.get("keepdims"))

    def mean(v: Array) -> Array:
        total = v.sum(axis=axes, keepdims=keep)
        return np.asarray(total / max(int(np.prod([v.shape[a] for a in axes])), 1))

    count = max(int(np.prod([x.lo.shape[a] for a in axes])), 1)
    return _mean_of(op, x, x.map(mean), mean(np.maximum(np.abs(x.lo), np.abs(x.hi))), count)


def _reduce_sum(op: ReduceSumOp, x: Interval) -> Interval:
    if not is_float(op.results[0]):
        return _integer_meaning(op, x)

    def total(v: Array) -> Array:
        return np.asarray(v.sum(axis=op.get("axes"), keepdims=bool(op.get("keepdims"))))

    y = x.map(total)
    return _mean_of(op, x, y, total(np.maximum(np.abs(x.lo), np.abs(x.hi))), x.lo.size // max(y.lo.size, 1))


def _threshold(op: TensorOperation, x: Interval, thresholds: Interval, sign: Interval | None = None) -> Interval:
    function = MEANING[type(op)]
    extra = () if sign is None else (sign.lo.astype(np.int64),)
    return x.map(lambda v: np.asarray(function(op, v, thresholds.lo, *extra), np.float64))


def _select_threshold(op: TensorOperation, x: Interval, selector: Interval, *tables: Interval) -> Interval:
    function, extra = MEANING[type(op)], [t.lo for t in tables]
    corners = [
        np.asarray(function(op, v, s, *extra), np.float64) for v, s in product((x.lo, x.hi), (selector.lo, selector.hi))
    ]
    y = Interval.of(*corners)
    return y if selector.points else Interval(np.full_like(y.lo, -np.inf), np.full_like(y.hi, np.inf))


def _compare(op: TensorOperation, a: Interval, b: Interval) -> Interval:
    relation = op.get("relation")
    if relation == "eq":
        surely, can = (a.lo == a.hi) & (b.lo == b.hi) & (a.lo == b.lo), (a.lo <= b.hi) & (b.lo <= a.hi)
    elif relation == "ge":
        surely, can = a.lo >= b.hi, a.hi >= b.lo
    else:
        surely, can = a.lo > b.hi, a.hi > b.lo
    return Interval(surely.astype(np.float64), can.astype(np.float64))


def _select(op: TensorOperation, condition: Interval, a: Interval, b: Interval) -> Interval:
    first, second = (condition.lo > 0) | (condition.hi < 0), (condition.lo == 0) & (condition.hi == 0)
    either = Interval.of(a.lo, a.hi, b.lo, b.hi)
    lo, hi = (np.where(second, low, union) for low, union in ((b.lo, either.lo), (b.hi, either.hi)))
    return Interval(np.where(first, a.lo, lo), np.where(first, a.hi, hi))


def _whole(v: Array) -> Array:
    return np.clip(v, -(2.0**62), 2.0**62).astype(np.int64)


def _integer_meaning(op: TensorOperation, *operands: Interval) -> Interval:
    """As `_meaning`, for operations on integers alone that rise or fall with the first operand; the others are
    constants."""
    function, rest = MEANING[type(op)], [_whole(x.lo) for x in operands[1:]]
    return operands[0].map(lambda v: np.asarray(function(op, _whole(v), *rest), np.float64))


def _arg_max(op: TensorOperation, x: Interval) -> Interval:
    axis = op.get("axis")
    if x.points:
        y = np.asarray(MEANING[type(op)](op, x.lo), np.float64)
        return Interval(y, y)
    lo, hi = (x.lo, x.hi) if op.get("largest") else (-x.hi, -x.lo)
    can = hi >= lo.max(axis=axis, keepdims=True)
    index = np.arange(lo.shape[axis]).reshape([-1 if i == axis else 1 for i in range(lo.ndim)])
    first = np.where(can, index, lo.shape[axis]).min(axis=axis, keepdims=True)
    return Interval(first.astype(np.float64), np.where(can, index, -1).max(axis=axis, keepdims=True).astype(np.float64))


def _top_k(op: TensorOperation, x: Interval) -> list[Interval]:
    function, axis = MEANING[type(op)], op.get("axis")
    low, high = function(op, x.lo), function(op, x.hi)
    values = Interval.of(low[0], high[0])
    if x.points:
        index = np.asarray(low[1], np.float64)
        return [values, Interval(index, index)]
    # An index is certain where no two elements along the axis can change places.
    last = float(x.lo.shape[axis] - 1)
    index = np.asarray(low[1], np.float64)
    overlap = ~np.broadcast_to(_apart(x, axis), index.shape)
    return [values, Interval(np.where(overlap, 0.0, index), np.where(overlap, last, index))]


def _apart(x: Interval, axis: int) -> Array:
    """Whether along an axis no two intervals overlap; that axis has size 1."""
    order = np.argsort(x.lo, axis=axis, kind="stable")
    lo, hi = np.take_along_axis(x.lo, order, axis), np.take_along_axis(x.hi, order, axis)
    n = lo.shape[axis]
    return np.all(np.take(lo, range(1, n), axis) > np.take(hi, range(n - 1), axis), axis=axis, keepdims=True)


def _take(op: TensorOperation, x: Interval, indices: Interval) -> Interval:
    if indices.points:
        return x.map(lambda v: np.take(v, indices.lo.astype(np.int64), axis=op.get("axis")))
    y = np.take(x.lo, np.clip(indices.lo, 0, None).astype(np.int64), axis=op.get("axis"))
    return Interval(np.full_like(y, -np.inf), np.full_like(y, np.inf))


RULES: dict[type[Operation], Callable[..., Any]] = {
    ew.AddOp: _add, ew.SubOp: _sub, ew.MulOp: _mul, ew.DivOp: _div, ew.PReluOp: _prelu,
    ew.MaxOp: lambda op, a, b: Interval(np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi)),
    ew.MinOp: lambda op, a, b: Interval(np.minimum(a.lo, b.lo), np.minimum(a.hi, b.hi)),
    ew.ReluOp: lambda op, x: x.map(lambda v: np.maximum(v, 0)),
    ew.LeakyReluOp: _leaky, ew.HardSwishOp: _hard_swish, ew.HardSigmoidOp: _hard_sigmoid,
    ew.PowOp: _power, **{kind: _function for kind in (ew.AbsOp, *functions.OPS)},
    ew.SigmoidOp: _smooth(lambda v: 1 / (1 + np.exp(-v))), ew.TanhOp: _smooth(np.tanh), ew.SoftmaxOp: _softmax,
    ew.RoundOp: lambda op, x: x.map(ROUNDINGS[op.get("mode")]), ew.ClipOp: _clip, ew.CastOp: _cast,
    QuantizeOp: _quantize, DequantizeOp: _mul, ThresholdOp: _threshold, SelectThresholdOp: _select_threshold,
    ConvOp: _conv, MatMulOp: _matmul, BatchNormOp: _batch_norm,
    CompareOp: _compare, SelectOp: _select, RequantizeOp: _integer_meaning, ReduceSumOp: _reduce_sum,
    SumPoolOp: _integer_meaning, ReduceMaxOp: _meaning, ReduceMinOp: _meaning,
    MaxPoolOp: _meaning, AvgPoolOp: _avg_pool, ReduceMeanOp: _reduce_mean, ArgMaxOp: _arg_max, TopKOp: _top_k,
    ReshapeOp: _meaning, TransposeOp: _meaning, ConcatOp: _meaning, SliceOp: _meaning, PadOp: _meaning,
    ConvertOp: _meaning, TakeOp: _take,
}  # fmt: skip


def bounds(program: Program, inputs: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    """The interval of every output, by name. Raises KeyError for an operation without a rule."""
    arrays = [np.asarray(inputs[port.name]).astype(np.float64) for port in program.inputs]
    count = len(arrays[0]) if program.batched and arrays else 1
    samples = [[a[i : i + 1] for a in arrays] for i in range(count)] if program.batched else [arrays]
    with np.errstate(all="ignore"):
        results = [_block(program.block, [Interval(a, a) for a in sample], program.weights) for sample in samples]
    joined = zip(*results, strict=True)
    return {
        port.name: Interval(np.concatenate([y.lo for y in parts]), np.concatenate([y.hi for y in parts]))
        if program.batched
        else parts[0]
        for port, parts in zip(program.outputs, joined, strict=True)
    }


def _block(block: Block, arguments: Sequence[Interval], weights: Mapping[str, np.ndarray]) -> list[Interval]:
    values: dict[SSAValue, Interval] = dict(zip(block.args, arguments, strict=True))
    for op in block.ops:
        operands = [values[v] for v in op.operands]
        if op.has_trait(IsTerminator):
            return operands
        if isinstance(op, ConstantOp):
            array = weights[op.get("value")].astype(np.float64)
            results: Any = Interval(array, array)
        elif isinstance(op, KernelOp):
            results = _block(op.block, operands, weights)
        else:
            results = RULES[type(op)](op, *operands)
        results = [results] if isinstance(results, Interval) else results
        values.update(zip(op.results, results, strict=True))
    raise AssertionError("a block without a terminator")
