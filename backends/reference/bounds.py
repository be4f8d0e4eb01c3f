"""What float32 may make of a program: for every value the interval that holds its exact value and every value that
float32 arithmetic gives, in whatever order sums are added.

Meanings are evaluated in float64 at the ends of their operands' intervals: they rise or fall with each operand, but for
products, which have a rule of their own, and functions that turn, which are evaluated there too. Then a float result is
widened by the float32 roundings that the operation itself does, where it does any: UNIT of the magnitude each. A sum of
n terms does n of them; errors of roundings behave as random, so it is widened by 2 sqrt(n) UNIT times the sum of
magnitudes. The interpreter's own float32 value is always within.

Where a float becomes one of a few levels (a quantizer, a threshold, a rounding, a comparison), an interval of one level
is exact again. One of two levels is a tie: the exact value lies within float32 rounding of the boundary of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import IsTerminator

from ...ir.errors import IRError
from ...ir.kn.kernel import KernelOp
from ...ir.kn.layout import tensor_in
from ...ir.locations import describe
from ...ir.tn.constant import ConstantOp
from ...ir.tn.elementwise import (
    AddOp,
    CastOp,
    DivOp,
    LeakyReluOp,
    MulOp,
    PReluOp,
    RoundOp,
    SubOp,
    UnaryOp,
)
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.tn.pool import ArgMaxOp
from ...ir.tn.quant import DequantizeOp, QuantizeOp, SelectThresholdOp, ThresholdOp
from ...ir.types import is_float
from .interpreter import Weights, evaluate, inside
from .meaning import MEANING

UNIT = 2.0**-24
"""Half the distance of neighbouring float32 values, relative: what one rounding may move a value."""

ONE_ROUNDING = (AddOp, SubOp, MulOp, DivOp, DequantizeOp, CastOp, PReluOp, LeakyReluOp)
OTHER_ROUNDINGS = 8
"""Float operations in a chain inside one operation (a batch normalisation has five), and error of exp and the like."""

MOST_CORNERS = 3
"""So many uncertain operands are tried at all combinations of their ends; more of them at all lows and all highs."""


@dataclass(frozen=True)
class Bounds:
    """own: the interpreter's value, float32 or int64. lo, hi: float64 or int64 of its shape. exact: whether all three
    are equal. open: whether it depends on a tie that nobody has decided."""

    own: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    exact: bool
    open: bool = False

    @classmethod
    def of(cls, value: np.ndarray) -> Bounds:
        """An exact value."""
        own = inside(value)
        wide = own.astype(np.float64) if own.dtype.kind == "f" else own
        return cls(own, wide, wide, True)

    @property
    def uncertain(self) -> np.ndarray:
        """Where the interval holds more than one value."""
        return np.zeros(self.own.shape, bool) if self.exact else self.lo < self.hi


LEVELS = (QuantizeOp, ThresholdOp, SelectThresholdOp, RoundOp, CastOp)
"""Operations whose levels are evenly spaced."""

Decide: TypeAlias = "Callable[[Operation, Sequence[Bounds], list[Bounds]], list[Bounds]]"
"""Told every operation (kernels after the operations inside them) with the bounds of its operands and results; gives
the results to go on with."""


def run_bounds(block: Block, arguments: Sequence[Bounds], weights: Weights, decide: Decide) -> list[Bounds]:
    """The bounds of what a block's terminator names."""
    values: dict[SSAValue, Bounds] = dict(zip(block.args, arguments, strict=True))
    last_use = {value: op for op in block.ops for value in op.operands}
    for op in block.ops:
        if isinstance(op, ConstantOp):
            continue
        operands = [
            Bounds.of(evaluate(v.owner, [], weights)[0]) if isinstance(v.owner, ConstantOp) else values[v]
            for v in op.operands
        ]
        if op.has_trait(IsTerminator):
            return operands
        if isinstance(op, KernelOp):
            results = run_bounds(op.block, operands, weights, decide)
        else:
            results = bounds_of(op, operands)
        results = decide(op, operands, results)
        values.update((r, y) for r, y in zip(op.results, results, strict=True) if r in last_use)
        for value in op.operands:
            if last_use[value] is op:
                values.pop(value, None)
    raise IRError("a block without a terminator")


def bounds_of(op: Operation, operands: Sequence[Bounds]) -> list[Bounds]:
    """The bounds of one operation's results."""
    own = evaluate(op, [b.own for b in operands])
    exact = all(b.exact for b in operands)
    floats = any(is_float(tensor_in(v.type)) for v in (*op.operands, *op.results))
    if exact and not floats:
        return [Bounds(y, y, y, True) for y in own]
    if isinstance(op, ConvOp | MatMulOp):
        pairs = [_product(op, operands, own[0])]
    elif isinstance(op, ArgMaxOp):
        pairs = [_arg_max(op, operands[0], own[0])]
    else:
        pairs = _corners(op, operands, own)
    undecided = any(b.open for b in operands)
    results = []
    for y, (lo, hi) in zip(own, pairs, strict=True):
        if isinstance(op, LEVELS) and is_boundary(op) and not undecided:
            # A tie is between two levels that meet: rounding leads no further.
            lo, hi = np.maximum(lo, y - _step(op)), np.minimum(hi, y + _step(op))
        same = np.array_equal(lo, hi, equal_nan=lo.dtype.kind == "f")
        tied = is_boundary(op) and not same
        results.append(Bounds(y, lo, lo if same else hi, same, (undecided and not same) or tied))
    return results


def is_boundary(op: Operation) -> bool:
    """Whether an operation makes levels of floats."""
    if isinstance(op, RoundOp):
        return True
    has = [is_float(tensor_in(v.type)) for v in op.operands]
    return any(has) and not all(is_float(tensor_in(v.type)) for v in op.results)


def _step(op: Operation) -> int:
    """The distance of neighbouring levels."""
    return abs(op.get("step")) if isinstance(op, ThresholdOp | SelectThresholdOp) else 1


def _meant(op: Operation, operands: Sequence[np.ndarray]) -> list[np.ndarray]:
    function = MEANING.get(type(op))
    if function is None:
        raise IRError("the interpreter does not know this operation", where=describe(op))
    with np.errstate(all="ignore"):
        result = function(op, *operands)
    return [np.asarray(result)] if isinstance(result, np.ndarray | np.generic) else [np.asarray(y) for y in result]


def _wide(op: Operation, operands: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The meaning in float64 and int64."""
    results = _meant(op, operands)
    kinds = [np.float64 if is_float(tensor_in(v.type)) else np.int64 for v in op.results]
    return [y.astype(kind, copy=False) for y, kind in zip(results, kinds, strict=True)]


def _corners(
    op: Operation, operands: Sequence[Bounds], own: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The hull of the meaning at the ends of the operands, and of the interpreter's own value."""
    unsure = [i for i, b in enumerate(operands) if not b.exact]
    ends = product((0, 1), repeat=len(unsure)) if len(unsure) <= MOST_CORNERS else ((e,) * len(unsure) for e in (0, 1))
    low = [y.astype(np.float64 if y.dtype.kind == "f" else np.int64) for y in own]
    high = list(low)
    for chosen in ends:
        at = dict(zip(unsure, chosen, strict=True))
        for i, y in enumerate(_wide(op, [(b.hi if at.get(k) else b.lo) for k, b in enumerate(operands)])):
            low[i], high[i] = np.fmin(low[i], y), np.fmax(high[i], y)
    for turn in op.turns() if isinstance(op, UnaryOp) and unsure else ():
        (y,) = _wide(op, [np.clip(turn, operands[0].lo, operands[0].hi)])
        low[0], high[0] = np.fmin(low[0], y), np.fmax(high[0], y)
    plain = _wide(op, [b.own.astype(np.float64) if b.own.dtype.kind == "f" else b.own for b in operands])
    pairs = []
    for y, exact, lo, hi in zip(own, plain, low, high, strict=True):
        if y.dtype.kind == "f" and not np.array_equal(y.astype(np.float64), exact, equal_nan=True):
            room = _rounding(op, operands, lo, hi)
            lo, hi = lo - room, hi + room
        pairs.append((lo, hi))
    return pairs


def _rounding(op: Operation, operands: Sequence[Bounds], lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """How far the float32 roundings of an operation may move its result, where that is finite."""
    with np.errstate(all="ignore"):
        size = np.maximum(_finite(lo), _finite(hi))
        if isinstance(op, ONE_ROUNDING):
            return UNIT * size
        largest = _wide(op, [_magnitude(b) for b in operands])
        terms = max((b.own.size for b in operands), default=0) / max(size.size, 1)
        if len(largest) == 1:  # what cancels inside counts with its magnitude
            size = np.maximum(size, _finite(largest[0]))
        return (OTHER_ROUNDINGS + 2 * np.sqrt(terms)) * UNIT * size


def _finite(x: np.ndarray) -> np.ndarray:
    """Magnitudes; 0 for what is not finite."""
    return np.where(np.isfinite(x), np.abs(x), 0)


def _magnitude(b: Bounds) -> np.ndarray:
    return np.maximum(np.abs(b.lo), np.abs(b.hi)) if b.own.dtype.kind == "f" else b.lo


def _product(op: ConvOp | MatMulOp, operands: Sequence[Bounds], own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and radius: |a b - a' b'| <= |a| rb + ra |b| + ra rb, and the roundings of a float sum."""

    def product_of(*factors: np.ndarray) -> np.ndarray:
        return _meant(op, [factor.astype(np.float64, copy=False) for factor in factors])[0]

    centres = [b.lo if b.exact else (b.lo + b.hi) / 2 for b in operands]
    a, b, *bias = centres
    ra, rb, *_ = ((x.hi - x.lo) / 2 for x in operands)
    nothing = [np.zeros_like(c) for c in bias]
    centre = product_of(a, b, *bias)
    radius = np.zeros_like(centre)
    if not operands[0].exact:
        radius += product_of(ra, np.abs(b) + rb, *nothing)
    if not operands[1].exact:
        radius += product_of(np.abs(a), rb, *nothing)
    if bias and not operands[2].exact:
        wide = operands[2].hi - operands[2].lo
        radius += (wide / 2).reshape(-1, *(1,) * (centre.ndim - 2))
    if own.dtype.kind != "f":
        return np.floor(centre - radius).astype(np.int64), np.ceil(centre + radius).astype(np.int64)
    value = own.astype(np.float64)
    if not all(x.exact for x in operands) or not np.array_equal(value, centre, equal_nan=True):
        terms = b[0].size if isinstance(op, ConvOp) else a.shape[-1]
        sizes = product_of(np.abs(a), np.abs(b), *map(np.abs, bias))
        radius += (2 * np.sqrt(terms + 1) + 1) * UNIT * np.where(np.isfinite(sizes), sizes, 0)
    with np.errstate(all="ignore"):
        return np.fmin(centre - radius, value), np.fmax(centre + radius, value)


def _arg_max(op: ArgMaxOp, x: Bounds, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last index that may hold the largest (or smallest) element."""
    axis = op.get("axis")
    if op.get("largest"):
        candidates = x.hi >= x.lo.max(axis=axis, keepdims=True)
    else:
        candidates = x.lo <= x.hi.min(axis=axis, keepdims=True)
    first = np.argmax(candidates, axis=axis, keepdims=True)
    last = x.own.shape[axis] - 1 - np.argmax(np.flip(candidates, axis), axis=axis, keepdims=True)
    return np.minimum(first, own), np.maximum(last, own)
