"""Pooling, reductions and what picks elements by size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ....ir.tn import pool as tn
from ....ir.tn.elementwise import SoftmaxOp
from ....ir.types import element_of, is_float, range_of, shape_of
from ..context import Context, dtype_of
from ..package import Expr, Scalar, Tensor, relax, te, tirx
from .elementwise import larger, smaller
from .rules import relax_of, wide


@relax_of(tn.MaxPoolOp, tn.SumPoolOp, tn.AvgPoolOp)
def pool(context: Context, op: tn.PoolOp, x: Expr) -> Expr:
    """The taps of a window one after the other, as the interpreter takes them: as one expression, which becomes
    vectors; but as a reduction where each step names the one before more than once, as the maximum of floats does."""
    sizes, strides, dilations, pads = shape_of(op.x)[2:], op.get("strides"), op.get("dilations"), op.get("pads")
    most, dtype = isinstance(op, tn.MaxPoolOp), dtype_of(op.y)
    exact = "float32" if is_float(op.x) else wide([op.x, op.y])
    border = _lowest(op.x, exact) if most else tirx.const(0, exact)
    counts = tn.window_counts(op, op.get("counted")) if isinstance(op, tn.AvgPoolOp) else []
    divisor = reduce(np.multiply.outer, counts, np.ones((), np.int64)) if counts else None
    constants = [] if divisor is None else [relax.const(np.maximum(divisor, 1).astype(np.float32))]

    def at_tap(x: Tensor, n: Scalar, c: Scalar, at: Sequence[Scalar], taps: Sequence[Scalar | int]) -> Scalar:
        inner = [i * s + t * d - p for i, s, t, d, p in zip(at, strides, taps, dilations, pads, strict=False)]
        value = x(n, c, *inner).astype(exact)
        if not any(pads):
            return value
        inside = [tirx.all(i >= 0, i < size) for i, size in zip(inner, sizes, strict=True)]
        return tirx.if_then_else(tirx.all(*inside), value, border)

    def as_expression(x: Tensor, *divisors: Tensor) -> Tensor:
        def element(n: Scalar, c: Scalar, *at: Scalar) -> Scalar:
            every = (at_tap(x, n, c, at, taps) for taps in product(*map(range, op.get("kernel"))))
            found = reduce(tirx.max if most else lambda a, b: a + b, every)
            return reduce(lambda total, by: total / by(*at), divisors, found).astype(dtype)

        return te.compute(shape_of(op.y), element)

    def as_reduction(x: Tensor) -> Tensor:
        taps = [te.reduce_axis((0, size), f"k{i}") for i, size in enumerate(op.get("kernel"))]
        pick = te.comm_reducer(larger, lambda kind: border, name="largest")
        return te.compute(shape_of(op.y), lambda n, c, *at: pick(at_tap(x, n, c, at, taps), axis=taps))

    if most and is_float(op.x):
        return context.emit_te(as_reduction, x)
    return context.emit_te(as_expression, x, *constants)


def _nan(value: Scalar) -> Scalar:
    return tirx.isnan(value) if value.ty.dtype == "float32" else tirx.const(False, "bool")


def _lowest(value: Any, dtype: str) -> Any:
    if is_float(value):
        return tirx.const(float("-inf"), "float32")
    return tirx.const(range_of(element_of(value))[0], dtype)


@relax_of(tn.ReduceMeanOp, tn.ReduceSumOp)
def reduce_sum(context: Context, op: tn.ReduceOp, x: Expr) -> Expr:
    """Floats are added in float64, integers in a type that holds the sum."""
    exact = "float64" if is_float(op.x) else wide([op.x, op.y])
    axes, keep = list(op.get("axes")), bool(op.get("keepdims"))
    if not axes:
        return x
    if not all(shape_of(op.x)[axis] for axis in axes):
        return _filled(context, op, 0)
    total = context.emit(relax.op.sum(context.cast(x, exact), axes, keep))
    if isinstance(op, tn.ReduceMeanOp):
        count = max(prod(shape_of(op.x)[axis] for axis in axes), 1)
        total = context.emit(relax.op.divide(total, relax.const(float(count), "float64")))
    return context.stored(total, op)


def _filled(context: Context, op: tn.ReduceOp, value: float) -> Expr:
    """The result of a reduction of nothing, which TVM leaves as memory was."""
    return context.constant(np.full(shape_of(op.y), value), dtype_of(op.y))


@relax_of(tn.ReduceMaxOp, tn.ReduceMinOp)
def reduce_extreme(context: Context, op: tn.ExtremeOp, x: Expr) -> Expr:
    """Not Relax's operators, in which NaN loses."""
    axes, keep = op.get("axes"), bool(op.get("keepdims"))
    pick = larger if isinstance(op, tn.ReduceMaxOp) else smaller
    low, high = (float("-inf"), float("inf")) if is_float(op.x) else range_of(element_of(op.x))
    start = low if pick is larger else high
    reducer = te.comm_reducer(pick, lambda kind: tirx.const(start, kind), name="extreme")

    def compute(x: Tensor) -> Tensor:
        along = {axis: te.reduce_axis((0, shape_of(op.x)[axis]), f"r{axis}") for axis in axes}

        def element(*at: Scalar) -> Scalar:
            left = iter(at if not keep else [i for axis, i in enumerate(at) if axis not in along])
            place = [along[axis] if axis in along else next(left) for axis in range(len(shape_of(op.x)))]
            return reducer(x(*place), axis=list(along.values()))

        return te.compute(shape_of(op.y), element)

    if not all(shape_of(op.x)[axis] for axis in axes):
        return _filled(context, op, start)
    return x if not axes else context.emit_te(compute, x)


@relax_of(tn.ArgMaxOp)
def arg_max(context: Context, op: tn.ArgMaxOp, x: Expr) -> Expr:
    axis, size = op.get("axis"), shape_of(op.x)[op.get("axis")]
    last, largest = bool(op.get("last")), bool(op.get("largest"))

    def better(one: Any, other: Any) -> Any:
        """Of pairs of a value and its index: the later one where it is better, or as good and the last is asked for."""
        above, below = (other[0], one[0]) if largest else (one[0], other[0])
        wins = tirx.any(above > below, tirx.all(_nan(other[0]), tirx.Not(_nan(one[0]))))  # the first NaN of all
        if last:
            wins = tirx.any(wins, other[0] == one[0], tirx.all(_nan(other[0]), _nan(one[0])))
        wins = tirx.any(wins, one[1] < tirx.const(0, "int32"))  # nothing so far
        return tuple(tirx.Select(wins, b, a) for a, b in zip(one, other, strict=True))

    best = te.comm_reducer(better, lambda kind, index: (tirx.const(0, kind), tirx.const(-1, index)), name="best")

    def compute(x: Tensor) -> Tensor:
        along = te.reduce_axis((0, size), "along")

        def element(*at: Scalar) -> Any:
            place = x(*at[:axis], along, *at[axis + 1 :])
            return best((place, along.var.astype("int32")), axis=along)

        _, index = te.compute(shape_of(op.y), element, name="pairs")
        return te.compute(shape_of(op.y), lambda *at: index(*at).astype(dtype_of(op.y)))

    return context.emit_te(compute, x)


@relax_of(tn.TopKOp)
def top_k(context: Context, op: tn.TopKOp, x: Expr) -> list[Expr]:
    """Each element's rank is the number of those that come before it; NaN is the largest."""
    axis, size, largest = op.get("axis"), shape_of(op.x)[op.get("axis")], bool(op.get("largest"))
    indices = dtype_of(op.indices)

    def ranks(x: Tensor) -> Tensor:
        j = te.reduce_axis((0, size), "j")

        def element(*at: Any) -> Any:
            mine, other = x(*at), x(*at[:axis], j, *at[axis + 1 :])
            above, below = (other, mine) if largest else (mine, other)
            ahead = tirx.any(above > below, tirx.all(_nan(above), tirx.Not(_nan(below))))
            same = tirx.any(other == mine, tirx.all(_nan(other), _nan(mine)))
            first = tirx.any(ahead, tirx.all(same, j < at[axis]))
            return te.sum(first.astype("int32"), axis=j)

        return te.compute(shape_of(op.x), element)

    found = context.emit_te(ranks, x)

    def chosen(x: Tensor, ranks: Tensor, *, index: bool) -> Tensor:
        j = te.reduce_axis((0, size), "j")

        def element(*at: Any) -> Any:
            place = (*at[:axis], j, *at[axis + 1 :])
            value = j.var.astype(indices) if index else x(*place)
            nothing = tirx.const(0, indices if index else str(x.dtype))
            return te.sum(tirx.Select(ranks(*place) == at[axis], value, nothing), axis=j)

        return te.compute(shape_of(op.values), element)

    return [
        context.emit_te(lambda x, ranks: chosen(x, ranks, index=False), x, found),
        context.emit_te(lambda x, ranks: chosen(x, ranks, index=True), x, found),
    ]


@relax_of(SoftmaxOp)
def softmax(context: Context, op: SoftmaxOp, x: Expr) -> Expr:
    if not shape_of(op.x):
        return context.emit(relax.op.ones_like(x))
    return context.emit(relax.op.nn.softmax(x, op.get("axis")))
