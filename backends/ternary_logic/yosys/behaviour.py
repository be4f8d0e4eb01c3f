"""What a pixel of an operation computes, output by output, with no word on gates: sums, levels, maxima of inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from xdsl.ir import Operation

from ....ir.program import Program
from ....ir.tn.constant import ConstantOp
from ....ir.tn.elementwise import AddOp, MaxOp, ReluOp, SubOp
from ....ir.tn.linear import ConvOp, MatMulOp
from ....ir.tn.pool import MaxPoolOp, SumPoolOp
from ....ir.tn.quant import ThresholdOp
from ....ir.types import shape_of
from ..lowering.graph import constant_of
from ..lowering.tiles import Tile
from ..mapping.numbers import Form


@dataclass(frozen=True)
class Sum:
    """offset + weights[i] * the input's element places[i]; the elements of all inputs are counted through."""

    places: NDArray[np.integer]
    weights: NDArray[np.integer]
    offset: int = 0


@dataclass(frozen=True)
class Levels:
    """values[n], with n the number of bounds that an element reaches."""

    place: int
    bounds: tuple[int, ...]
    values: tuple[int, ...]


@dataclass(frozen=True)
class Largest:
    """Of some elements, and a constant."""

    places: NDArray[np.integer]
    floor: int | None = None


Output: TypeAlias = Sum | Levels | Largest


@dataclass(frozen=True)
class Behaviour:
    """inputs: a form and how many numbers of it, port by port: x0, x1 and so on. outputs: of port y, in a form."""

    inputs: tuple[tuple[Form, int], ...]
    outputs: tuple[Output, ...]
    output: Form

    def some(self, chosen: Iterable[int]) -> Behaviour:
        """These of its outputs alone."""
        return replace(self, outputs=tuple(self.outputs[i] for i in chosen))

    @property
    def middle(self) -> int:
        """The output with as many terms as the mean one."""
        terms = np.array([size_of(output) for output in self.outputs])
        return int(np.abs(terms - terms.mean()).argmin())


def size_of(output: Output) -> int:
    return len(output.bounds) if isinstance(output, Levels) else len(output.places)


def behaviour_of(tile: Tile, program: Program) -> Behaviour | None:
    """None for operations of other kinds, which only move numbers, or have no gates."""
    maps = [value for value in tile.operation.operands if not isinstance(value.owner, ConstantOp)]
    if type(tile.part) not in RULES or (isinstance(tile.part, MatMulOp) and len(maps) > 1):
        return None
    operands, inputs, first = list[Operand](), list[tuple[Form, int]](), 0
    for value, whole in zip(tile.part.operands, tile.operation.operands, strict=True):
        if isinstance(whole.owner, ConstantOp):
            operands.append(Constant(constant_of(program, whole)))
            continue
        shape = shape_of(value)
        size = int(np.prod(shape))
        operands.append(Map(np.arange(first, first + size).reshape(shape)))
        inputs.append((tile.inputs[len(inputs)], size))
        first += size
    outputs = RULES[type(tile.part)](tile.part, *operands)
    return Behaviour(tuple(inputs), tuple(outputs), tile.output)


@dataclass(frozen=True)
class Map:
    """An input: the places of its elements, in its shape."""

    places: NDArray[np.integer]


@dataclass(frozen=True)
class Constant:
    numbers: NDArray[np.integer]


Operand: TypeAlias = Map | Constant


def _conv(op: Operation, x: Map, w: Constant, bias: Constant | None = None) -> list[Output]:
    assert isinstance(op, ConvOp)
    weights = w.numbers
    outputs, channels = weights.shape[:2]
    steps = tuple(slice(None, None, step) for step in op.get("dilations"))
    found = list[Output]()
    for i, row in enumerate(weights):
        first = i // (outputs // op.get("group")) * channels
        places = x.places[(0, slice(first, first + channels), *steps)]
        found.append(_sum(places.ravel(), row.ravel(), 0 if bias is None else int(bias.numbers[i])))
    return found


def _matmul(op: Operation, a: Map, b: Constant) -> list[Output]:
    rows = a.places.reshape(-1, len(b.numbers))
    return [_sum(places, column, 0) for places in rows for column in b.numbers.T]


def _sum(places: NDArray[np.integer], weights: NDArray[np.integer], offset: int) -> Sum:
    some = weights != 0
    return Sum(places[some], weights[some], offset)


def _add(op: Operation, a: Operand, b: Operand) -> list[Output]:
    shape, signs = shape_of(op.results[0]), (1, -1 if isinstance(op, SubOp) else 1)
    maps = [(np.broadcast_to(x.places, shape).ravel(), sign) for x, sign in zip((a, b), signs, strict=True)
            if isinstance(x, Map)]  # fmt: skip
    offsets = np.zeros(shape, np.int64)
    for x, sign in zip((a, b), signs, strict=True):
        if isinstance(x, Constant):
            offsets = offsets + sign * x.numbers
    weights = np.array([sign for _, sign in maps])
    return [Sum(np.array(places), weights, int(offset))
            for *places, offset in zip(*(places for places, _ in maps), offsets.ravel(), strict=True)]  # fmt: skip


def _windows(op: Operation, x: Map) -> NDArray[np.integer]:
    """What each output sees of a tile's input, which has no borders: [outputs, elements of a window]."""
    assert isinstance(op, MaxPoolOp | SumPoolOp)
    reach = [(k - 1) * d + 1 for k, d in zip(op.get("kernel"), op.get("dilations"), strict=True)]
    windows = sliding_window_view(x.places, reach, axis=tuple(range(2, 2 + len(reach))))
    steps = tuple(slice(None, None, step) for step in op.get("dilations"))
    windows = windows[(..., *steps)]
    return windows.reshape(-1, int(np.prod(op.get("kernel"))))


def _max_pool(op: Operation, x: Map) -> list[Output]:
    return [Largest(window) for window in _windows(op, x)]


def _sum_pool(op: Operation, x: Map) -> list[Output]:
    return [Sum(window, np.ones(len(window), np.int64)) for window in _windows(op, x)]


def _max(op: Operation, a: Operand, b: Operand) -> list[Output]:
    shape = shape_of(op.results[0])
    maps = [np.broadcast_to(x.places, shape).ravel() for x in (a, b) if isinstance(x, Map)]
    floors = [np.broadcast_to(x.numbers, shape).ravel() for x in (a, b) if isinstance(x, Constant)]
    return [Largest(np.array([places[i] for places in maps]), *(int(floor[i]) for floor in floors))
            for i in range(maps[0].size)]  # fmt: skip


def _relu(op: Operation, x: Map) -> list[Output]:
    return [Largest(np.array([place]), 0) for place in x.places.ravel().tolist()]


def _threshold(op: Operation, x: Map, bounds: Constant, sign: Constant | None = None) -> list[Output]:
    assert isinstance(op, ThresholdOp)
    axis, count = op.get("axis"), bounds.numbers.shape[1]
    channels = shape_of(op.results[0])[axis]
    table = np.broadcast_to(bounds.numbers, (channels, count))
    falls = np.broadcast_to(np.zeros(1) if sign is None else sign.numbers, channels) < 0
    values = [op.get("base") + op.get("step") * n for n in range(count + 1)]
    channel = np.broadcast_to(
        np.arange(channels).reshape(-1, *[1] * (x.places.ndim - axis - 1)), x.places.shape
    )  # fmt: skip
    return [
        Levels(place, tuple(table[c].tolist()), tuple(values[::-1] if falls[c] else values))
        for place, c in zip(x.places.ravel().tolist(), channel.ravel().tolist(), strict=True)
    ]


Rule: TypeAlias = "Callable[..., Sequence[Output]]"

RULES: dict[type[Operation], Rule] = {
    ConvOp: _conv, MatMulOp: _matmul, AddOp: _add, SubOp: _add, MaxPoolOp: _max_pool, SumPoolOp: _sum_pool,
    MaxOp: _max, ReluOp: _relu, ThresholdOp: _threshold,
}  # fmt: skip
"""Called with a tile's part and its operands; outputs in the order of the result's elements."""
