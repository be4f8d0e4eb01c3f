"""Exact integer thresholds (design contract 4).

Between an integer accumulator and the next quantizer lies a chain of float32 steps: scale, bias, batch norm,
activation. The chain is evaluated as the model computes it, in float32 by the reference interpreter, on integers of
the accumulator's range, and the accumulator values at which the quantized level changes become integer thresholds.

Every step of a chain is monotone in exact arithmetic and correctly rounded, hence monotone in float32, so a bisection
finds each threshold; a chain with a step that is not known to be monotone is left in float.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..backends.reference.interpreter import evaluate
from ..ir.locations import fused_location
from ..ir.program import Program
from ..ir.tn.elementwise import (
    AddOp,
    ClipOp,
    DivOp,
    HardSigmoidOp,
    LeakyReluOp,
    MaxOp,
    MinOp,
    MulOp,
    PReluOp,
    ReluOp,
    RoundOp,
    SubOp,
)
from ..ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from ..ir.types import element_of, is_float, range_of, shape_of
from .base import Pass, apply_rules, constant_before, insert, name_of, replace

MAX_STEPS = 15
"""More levels than this (over 4 bits) are cheaper to quantize in float than to compare."""

Direction = Callable[[np.ndarray], np.ndarray]


def _same(_: np.ndarray) -> np.ndarray:
    return np.ones(1)


def _sign(constant: np.ndarray) -> np.ndarray:
    return np.sign(constant)


def _not_negative(constant: np.ndarray) -> np.ndarray:
    """PRelu rises for slopes >= 0; other slopes are not monotone."""
    return np.where(constant >= 0, 1.0, np.nan)


CONSTANT_STEPS: dict[type[Operation], Direction] = {
    DequantizeOp: _sign,
    AddOp: _same,
    SubOp: _same,
    MulOp: _sign,
    DivOp: _sign,
    MaxOp: _same,
    MinOp: _same,
    PReluOp: _not_negative,
    QuantizeOp: _sign,
}
"""Steps x -> op(x, constant), with the direction (+1, 0, -1; NaN: not monotone) in x that the constant gives."""


@dataclass(frozen=True)
class Step:
    """One operation of a chain: its constant operand, if any, and in which position x is."""

    op: Operation
    constant: np.ndarray | None
    x_first: bool = True


@dataclass(frozen=True)
class Chain:
    """Steps from the integer source to the quantizer, in order of computation. axis: the one along which constants
    vary (an index into the shape of the source), or None."""

    source: SSAValue
    steps: tuple[Step, ...]
    axis: int | None
    channels: int

    @property
    def directions(self) -> np.ndarray:
        """[channels] of +1 and -1: whether the chain rises or falls; NaN where a step is not monotone."""
        total = np.ones(self.channels)
        for step in self.steps:
            sign = _direction(step)
            total = total * (sign.reshape(1) if sign.size == 1 else self._along_axis(sign))
        return np.where(total == 0, 1.0, total)

    def _along_axis(self, constant: np.ndarray) -> np.ndarray:
        rank = len(shape_of(self.source))
        assert self.axis is not None
        return np.moveaxis(constant.reshape((1,) * (rank - constant.ndim) + constant.shape), self.axis, 0).reshape(-1)

    def levels(self, candidates: np.ndarray) -> np.ndarray:
        """The quantized results [channels, M] of integers [channels, M]."""
        rank = len(shape_of(self.source))
        axis = 0 if self.axis is None else self.axis
        spare = next(i for i in range(rank) if i != axis)
        shape = [1] * rank
        shape[axis], shape[spare] = candidates.shape
        value = candidates.astype(np.int64)
        value = value.reshape(shape) if axis < spare else value.T.reshape(shape)
        for step in self.steps:
            operands = [value] if step.constant is None else [value, step.constant]
            (value,) = evaluate(step.op, operands if step.x_first else operands[::-1])
        flat = value.reshape(candidates.shape) if axis < spare else value.reshape(candidates.shape[::-1]).T
        return flat.astype(np.int64)


def _direction(step: Step) -> np.ndarray:
    op, constant = step.op, step.constant
    if isinstance(op, ThresholdOp):
        return np.array([float(np.sign(op.get("step")))])
    if constant is None:
        falling = isinstance(op, LeakyReluOp | HardSigmoidOp) and op.get("alpha") < 0
        return np.array([np.nan if falling else 1.0])
    sign = CONSTANT_STEPS[type(op)](constant)
    if step.x_first:
        return sign
    return {SubOp: -np.ones(1), DivOp: np.array([np.nan]), PReluOp: np.array([np.nan])}.get(type(op), sign)


_PLAIN_STEPS = (ReluOp, ClipOp, LeakyReluOp, HardSigmoidOp, RoundOp)


def find_chain(program: Program, end: Operation) -> Chain | None:
    """The chain of monotone float steps that ends in a quantize or threshold, back to an integer tensor."""
    steps: list[Step] = []
    op = end
    while True:
        step, x = _as_step(program, op)
        if step is None:
            return None
        steps.append(step)
        if not is_float(x):
            break
        if not isinstance(x.owner, Operation):
            return None
        op = x.owner
    shape = shape_of(x)
    if len(shape) < 2:
        return None
    axes = {axis for step in steps for axis in _varying_axes(step, len(shape))}
    if len(axes) > 1 or any(shape_of(s.op.results[0]) != shape for s in steps):
        return None
    axis = axes.pop() if axes else None
    return Chain(x, tuple(reversed(steps)), axis, 1 if axis is None else shape[axis])


def _as_step(program: Program, op: Operation) -> tuple[Step | None, SSAValue]:
    x = op.operands[0] if op.operands else None
    if x is None:
        return None, op.results[0]
    if isinstance(op, ThresholdOp):
        return _threshold_step(program, op), x
    if isinstance(op, _PLAIN_STEPS):
        return Step(op, None), x
    if type(op) not in CONSTANT_STEPS:
        return None, x
    constant = program.array(op.operands[1])
    if constant is not None:
        return Step(op, constant), x
    first = program.array(x)
    return (Step(op, first, x_first=False) if first is not None else None), op.operands[1]


def _threshold_step(program: Program, op: ThresholdOp) -> Step | None:
    thresholds = program.array(op.thresholds)
    return None if thresholds is None or op.sign is not None else Step(op, thresholds)


def _varying_axes(step: Step, rank: int) -> set[int]:
    """The axes of the chain's tensors along which a step's constant has more than one value."""
    if step.constant is None:
        return set()
    if isinstance(step.op, ThresholdOp):
        return {step.op.get("axis") % rank} if len(step.constant) > 1 else set()
    return {i + rank - step.constant.ndim for i, size in enumerate(step.constant.shape) if size > 1}


@dataclass(frozen=True)
class Levels:
    """What the end of a chain can give: base + step * index, index 0..count."""

    base: int
    step: int
    count: int


def _levels_of(end: Operation) -> Levels:
    if isinstance(end, QuantizeOp):
        return Levels(end.get("lo"), 1, end.get("hi") - end.get("lo"))
    assert isinstance(end, ThresholdOp)
    return Levels(end.get("base"), end.get("step"), shape_of(end.thresholds)[1])


def integer_thresholds(chain: Chain, levels: Levels) -> tuple[np.ndarray, np.ndarray] | None:
    """Thresholds int64 [channels, count], ascending, and signs [channels]; None for a chain that is not monotone.

    With sign +1 the level index of v is #{T : v >= T}, with sign -1 it is count - #{T : v >= T}. A level that the
    range never reaches has a threshold one above the range.
    """
    direction = chain.directions * np.sign(levels.step)
    if np.isnan(direction).any():
        return None
    lo, hi = range_of(element_of(chain.source))
    index = np.arange(1, levels.count + 1)
    rising = direction > 0
    # The first v whose index is >= k (rising) or <= count - k (falling), for k = 1 .. count.
    left = np.full((chain.channels, levels.count), lo, np.int64)
    right = np.full_like(left, hi + 1)
    while (open_ := left < right).any():
        middle = (left + right) // 2
        level = (chain.levels(np.minimum(middle, hi)) - levels.base) // levels.step
        reached = np.where(rising[:, None], level >= index, level <= levels.count - index)
        right = np.where(open_ & reached, middle, right)
        left = np.where(open_ & ~reached, middle + 1, left)
    return left, np.where(rising, 1, -1).astype(np.int64)


def _to_integer_threshold(program: Program, op: Operation) -> bool:
    if not is_float(op.operands[0]):
        return False
    levels = _levels_of(op)
    chain = find_chain(program, op) if 1 <= levels.count <= MAX_STEPS else None
    found = None if chain is None else integer_thresholds(chain, levels)
    if chain is None or found is None:
        return False
    thresholds, sign = found
    name = name_of(op.results[0], "threshold")
    operands = [chain.source, constant_before(program, op, f"{name}.thresholds", _narrow(thresholds))]
    if (sign < 0).any():
        operands.append(constant_before(program, op, f"{name}.sign", sign.astype(np.int8)))
    at = fused_location(*(step.op.location for step in chain.steps))
    axis = 1 if chain.axis is None else chain.axis
    new = ThresholdOp.make(*operands, axis=axis, base=levels.base, step=levels.step, at=at)
    return replace(op, insert(op, new))


def _narrow(array: np.ndarray) -> np.ndarray:
    """int32 where the values fit, which they do for every accumulator an engine takes."""
    info = np.iinfo(np.int32)
    return array.astype(np.int32) if array.min() >= info.min and array.max() <= info.max else array


class Thresholds(Pass):
    """Chains from an integer accumulator through float steps to a quantizer become integer thresholds."""

    name: ClassVar[str] = "thresholds"

    def apply(self, program: Program) -> bool:
        return apply_rules(program, {QuantizeOp: (_to_integer_threshold,), ThresholdOp: (_to_integer_threshold,)})
