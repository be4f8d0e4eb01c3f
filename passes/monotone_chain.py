"""Chains of float32 steps between an integer tensor and a quantizer, evaluated as the model computes them.

Every step of a chain is monotone in exact arithmetic. Where it is correctly rounded it is monotone in float32 as well,
so a bisection finds each integer at which the quantized level changes (design contract 4). Where it is not (exp, say),
the thresholds are compared with the chain on every integer of the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..backends.reference.interpreter import evaluate
from ..ir.program import Program
from ..ir.tn import ElementwiseOp
from ..ir.tn.elementwise import AddOp, SubOp
from ..ir.tn.quant import QuantizeOp, ThresholdOp
from ..ir.types import element_of, is_float, range_of, shape_of

MOST_CHECKED = 1 << 20
"""Where float32 may break the order that a step has in exact arithmetic, so many results are looked at one by one."""


@dataclass(frozen=True)
class Step:
    """One operation of a chain: its constant operand, if any, and in which position x is."""

    op: ElementwiseOp
    constant: np.ndarray | None
    x_first: bool = True

    @property
    def direction(self) -> np.ndarray:
        """+1, 0 or -1 where the step rises, is constant or falls, NaN where it is not monotone; one for each element of
        its constant."""
        return self.op.direction(0 if self.x_first else 1, self.constant)


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
            sign = step.direction
            total = total * (sign.reshape(1) if sign.size == 1 else self._along_axis(sign))
        return np.where(total == 0, 1.0, total)

    def _along_axis(self, constant: np.ndarray) -> np.ndarray:
        rank = len(shape_of(self.source))
        assert self.axis is not None
        return np.moveaxis(constant.reshape((1,) * (rank - constant.ndim) + constant.shape), self.axis, 0).reshape(-1)

    def levels(self, candidates: np.ndarray) -> np.ndarray:
        """The quantized results [channels, M] of integers [channels, M]."""
        return self.results(candidates).astype(np.int64)

    def results(self, candidates: np.ndarray) -> np.ndarray:
        """What the steps make of integers [channels, M]."""
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
        return value.reshape(candidates.shape) if axis < spare else value.reshape(candidates.shape[::-1]).T


def find_chain(program: Program, end: Operation) -> Chain | None:
    """The chain of monotone float steps that ends in a quantize or threshold, back to an integer tensor."""
    steps: list[Step] = []
    op = end
    while True:
        step, x = as_step(program, op)
        if step is None:
            return None
        steps.append(step)
        if not is_float(x):
            break
        if not isinstance(x.owner, Operation):
            return None
        op = x.owner
    return make_chain(x, steps[::-1])


def make_chain(source: SSAValue, steps: Sequence[Step]) -> Chain | None:
    """The chain of steps from an integer tensor on; None where their constants vary along several axes, and for a
    tensor without elements."""
    shape = shape_of(source)
    if len(shape) < 2 or 0 in shape:
        return None
    axes = {axis for step in steps for axis in varying_axes(step, len(shape))}
    if len(axes) > 1 or any(shape_of(s.op.results[0]) != shape for s in steps):
        return None
    axis = axes.pop() if axes else None
    return Chain(source, tuple(steps), axis, 1 if axis is None else shape[axis])


@dataclass(frozen=True)
class Fork:
    """Two chains whose sum or difference, `join`, goes through the steps `after`: a shortcut before a quantizer.

    main, other: one ends in each operand of join. other's source has few values.
    """

    main: Chain
    other: Chain
    join: AddOp | SubOp
    after: tuple[Step, ...]

    def chain(self, value: int) -> Chain | None:
        """The chain from main's source on, where other's source has this value."""
        shape = [1] * len(shape_of(self.main.source))
        shape[self.other.axis or 0] = self.other.channels
        constant = self.other.results(np.full((self.other.channels, 1), value)).reshape(shape)
        main_first = self.join.operands[0] is self.main.steps[-1].op.results[0]
        return make_chain(self.main.source, (*self.main.steps, Step(self.join, constant, main_first), *self.after))


def find_fork(program: Program, end: Operation, most: int) -> Fork | None:
    """The fork that ends in a quantize or threshold, its second source of at most `most` values."""
    after: list[Step] = []
    op = end
    while not (isinstance(op, AddOp | SubOp) and all(program.array(v) is None for v in op.operands)):
        step, x = as_step(program, op)
        if step is None or not is_float(x) or not isinstance(x.owner, Operation):
            return None
        after.insert(0, step)
        op = x.owner
    sides = [find_chain(program, v.owner) if isinstance(v.owner, Operation) else None for v in op.operands]
    first, second = sides
    if first is None or second is None or shape_of(first.source) != shape_of(second.source):
        return None
    main, other = (first, second) if _values(first) >= _values(second) else (second, first)
    return Fork(main, other, op, tuple(after)) if _values(other) <= most else None


def _values(chain: Chain) -> int:
    lo, hi = range_of(element_of(chain.source))
    return hi - lo + 1


def as_step(program: Program, op: Operation) -> tuple[Step | None, SSAValue]:
    """An operation as a step, None where it is none; and its operand that is not constant."""
    x = op.operands[0] if op.operands else None
    if x is None:
        return None, op.results[0]
    if not isinstance(op, ElementwiseOp) or len(op.operands) > 2:
        return None, x
    if len(op.operands) == 1:
        return Step(op, None), x
    constant = program.array(op.operands[1])
    if constant is not None:
        return Step(op, constant), x
    first = program.array(x)
    return (Step(op, first, x_first=False) if first is not None else None), op.operands[1]


def varying_axes(step: Step, rank: int) -> set[int]:
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


def levels_of(end: Operation) -> Levels:
    if isinstance(end, QuantizeOp):
        return Levels(end.get("lo"), 1, end.get("hi") - end.get("lo"))
    assert isinstance(end, ThresholdOp)
    return Levels(end.get("base"), end.get("step"), shape_of(end.thresholds)[1])


WIDEST = 1 << 62
"""Sums of two accumulators below this have 64 bits."""


def integer_thresholds(chain: Chain, levels: Levels) -> tuple[np.ndarray, np.ndarray] | None:
    """Thresholds int64 [channels, count], ascending, and signs [channels]; None for a chain that is not monotone,
    and for accumulators of over 62 bits.

    With sign +1 the level index of v is #{T : v >= T}, with sign -1 it is count - #{T : v >= T}. A level that the
    range never reaches has a threshold one above the range.
    """
    direction = chain.directions * np.sign(levels.step)
    lo, hi = range_of(element_of(chain.source))
    in_order = all(step.op.IN_ORDER for step in chain.steps)
    if np.isnan(direction).any() or (not in_order and (hi - lo) * chain.channels > MOST_CHECKED):
        return None
    if max(-lo, hi) >= WIDEST:
        return None
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
    signs = np.where(rising, 1, -1).astype(np.int64)
    return (left, signs) if in_order or _agree(chain, levels, left, signs) else None


def _agree(chain: Chain, levels: Levels, thresholds: np.ndarray, signs: np.ndarray) -> bool:
    """Whether thresholds give what the chain does, on every integer of its range."""
    lo, hi = range_of(element_of(chain.source))
    every = np.arange(lo, hi + 1)
    index = (chain.levels(np.tile(every, (chain.channels, 1))) - levels.base) // levels.step
    passed = np.stack([np.searchsorted(row, every, side="right") for row in thresholds])
    return np.array_equal(index, np.where(signs[:, None] > 0, passed, levels.count - passed))
