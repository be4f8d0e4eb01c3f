"""Operands for tiles and what they give: random and extreme ones, or what an operation reads when a network runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from ....ir.operation import TensorOperation
from ....ir.program import Program
from ....ir.tn import ElementwiseOp
from ....ir.tn.constant import ConstantOp
from ....ir.tn.linear import ConvOp, MatMulOp
from ....ir.tn.pool import PoolOp
from ....ir.types import SetType, element_of, is_float, range_of, shape_of, values_of
from ...reference.interpreter import evaluate, run
from ..mapping.numbers import Form
from .tiles import Part, Tile, channel_axis, operands_of

Maps = Sequence[NDArray[np.int64]]
"""A tile's map operands in order, each [vectors, *shape]: integers."""

CHUNK = 512
"""So many vectors are computed at once: all windows of a wide layer in int64 would take too much memory."""


def map_values(op: Operation) -> list[SSAValue]:
    """The operands of an operation that are no constants."""
    return [value for value in op.operands if not isinstance(value.owner, ConstantOp)]


def _maps_of_part(tile: Part) -> list[SSAValue]:
    return [part for part, whole in zip(tile.part.operands, tile.operation.operands, strict=True)
            if not isinstance(whole.owner, ConstantOp)]  # fmt: skip


def random_maps(tile: Tile, program: Program, count: int, rng: np.random.Generator) -> Maps:
    """All lowest numbers; all highest; a quarter with each of the two at random, so that sums become large; for a layer
    with weights what makes its first output as large as can be; the rest random. count: 8 or more."""
    found = [_random(value, count, rng) for value in _maps_of_part(tile)]
    if isinstance(tile.operation, ConvOp | MatMulOp):
        weights = program.array(tile.operation.operands[1])
        found[0][-1] = found[0][-1] if weights is None else _strongest(tile, weights)
    return found


def _random(value: SSAValue, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    element, shape = element_of(value), shape_of(value)
    low, high = range_of(element)
    size = (count, *shape)
    if isinstance(element, SetType):
        found = rng.choice(np.array(values_of(element)), size)
    else:
        found = rng.integers(low, high, size, endpoint=True)
    found[0], found[1] = low, high
    found[2 : count // 4] = rng.choice([low, high], (count // 4 - 2, *shape))
    return found


def _strongest(tile: Tile, weights: np.ndarray) -> NDArray[np.int64]:
    value = _maps_of_part(tile)[0]
    low, high = range_of(element_of(value))
    row = weights[0] if isinstance(tile.operation, ConvOp) else weights[:, 0]
    shape = shape_of(value)
    if row.size != prod(shape):  # groups: the first output reads some channels only
        row = np.concatenate([row.ravel(), np.ones(prod(shape) - row.size)])
    return np.where(row > 0, high, low).reshape(shape)


def maps_in(tile: Part, arrays: Maps, most: int) -> Maps:
    """What a tile's copies read of an operation's map operands [*shape]: at most so many of them, evenly spread, and
    none at a border. Empty where every copy is at one."""
    op = tile.operation
    assert isinstance(op, TensorOperation)
    parts = [shape_of(value) for value in _maps_of_part(tile)]
    if tile.part is op:
        return [array[None] for array in arrays]
    if isinstance(op, ConvOp | PoolOp):
        (array,), (shape,), rank = arrays, parts, len(op.get("strides"))
        if any(size < reach for size, reach in zip(array.shape[2:], shape[2:], strict=True)):
            return [np.empty((0, *shape), np.int64)]
        windows = sliding_window_view(array, shape[2:], axis=tuple(range(2, 2 + rank)))
        steps = [slice(None)] * 2 + [slice(None, None, step) for step in op.get("strides")]
        found = [np.moveaxis(windows[tuple(steps)], 1, 1 + rank).reshape(-1, *shape)]
    elif isinstance(op, MatMulOp) and len(arrays) == 2:
        rows, columns = arrays[0][..., None, :], np.swapaxes(arrays[1], -1, -2)[..., None, :, :]
        pairs = np.broadcast_arrays(rows, columns)
        found = [array.reshape(-1, *part) for array, part in zip(pairs, parts, strict=True)]
    elif isinstance(op, MatMulOp):
        found = [arrays[0].reshape(-1, *parts[0])]
    else:
        assert isinstance(op, ElementwiseOp)
        out, axis = shape_of(op.results[0]), channel_axis(op)
        sizes = [tuple(array.shape[i] if i == axis else size for i, size in enumerate(out)) for array in arrays]
        whole = [np.broadcast_to(array, size) for array, size in zip(arrays, sizes, strict=True)]
        found = [np.moveaxis(a, axis, -1).reshape(-1, *shape) for a, shape in zip(whole, parts, strict=True)]
    count = len(found[0])
    chosen = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.int64))
    return [array[chosen] for array in found]


def recorded(
    program: Program, tiles: Sequence[Part], runs: Iterable[Mapping[str, np.ndarray]], most: int
) -> dict[Operation, Maps]:
    """What tiles read while a program runs on inputs by name, a sample each: at most so many vectors of each tile in
    all, and of each run as many as of the others."""
    runs = list(runs)
    share = max(1, -(-most // max(len(runs), 1)))
    found: dict[Operation, list[Maps]] = {tile.operation: [] for tile in tiles}
    for values in traced(program, runs):
        for tile in tiles:
            have = sum(len(maps[0]) for maps in found[tile.operation])
            if have < most:
                arrays = [values[value] for value in map_values(tile.operation)]
                found[tile.operation].append(maps_in(tile, arrays, min(share, most - have)))
    return {op: [np.concatenate(parts) for parts in zip(*each, strict=True)] for op, each in found.items()}


def followed(
    program: Program, parts: Sequence[Part], runs: Iterable[Mapping[str, np.ndarray]], most: int
) -> dict[Operation, list[Maps]]:
    """What parts read in one run after the other: at most so many of their copies each, of which each sees as many
    vectors as there are runs, in their order."""
    found: dict[Operation, list[Maps]] = {part.operation: [] for part in parts}
    for values in traced(program, runs):
        for part in parts:
            arrays = [values[value] for value in map_values(part.operation)]
            found[part.operation].append(maps_in(part, arrays, most))
    return {op: [list(copy) for copy in zip(*(np.stack(arrays, axis=1) for arrays in zip(*each, strict=True)),
                                            strict=True)] for op, each in found.items()}  # fmt: skip


def traced(
    program: Program, runs: Iterable[Mapping[str, np.ndarray]]
) -> Iterator[Mapping[SSAValue, NDArray[np.int64]]]:
    """Every integer of a program, by value, of each run."""
    for inputs in runs:
        yield _trace(program, inputs)


def _trace(program: Program, inputs: Mapping[str, np.ndarray]) -> Mapping[SSAValue, NDArray[np.int64]]:
    values = dict[SSAValue, np.ndarray]()
    for argument, port in zip(program.block.args, program.inputs, strict=True):
        if not is_float(argument):
            values[argument] = np.asarray(inputs[port.name]).astype(np.int64)

    def see(op: Operation, results: list[np.ndarray]) -> None:
        values.update((v, array) for v, array in zip(op.results, results, strict=True) if not is_float(v))

    run(program, inputs, trace=see)
    return values


def digits_for(tile: Tile, program: Program, maps: Maps) -> dict[str, NDArray[np.int8]]:
    """The digits of all ports of a tile's netlist, [*wires' shape, vectors]: the inputs, and as output what the
    interpreter computes."""
    ports = [(f"x{i}", form, array) for i, (form, array) in enumerate(zip(tile.inputs, maps, strict=True))]
    ports.append(("y", tile.output, _results(tile, program, maps)))
    return {name: encoded(form, array) for name, form, array in ports}


def _results(tile: Tile, program: Program, maps: Maps) -> NDArray[np.int64]:
    """[vectors, *shape], by the interpreter: many vectors at once where the first axis is one of samples."""
    values = [*_maps_of_part(tile), tile.part.results[0]]
    pairs = isinstance(tile.operation, MatMulOp) and len(maps) == 2  # whose axes are those of matrices
    if not pairs and all(shape_of(value)[:1] == (1,) for value in values):
        parts = [[array[i : i + CHUNK, 0] for array in maps] for i in range(0, len(maps[0]), CHUNK)]
        return np.concatenate([evaluate(tile.part, operands_of(tile, program, part))[0] for part in parts])[:, None]
    each = zip(*maps, strict=True)
    return np.stack([evaluate(tile.part, operands_of(tile, program, list(one)))[0] for one in each])


def encoded(form: Form, numbers: NDArray[np.integer]) -> NDArray[np.int8]:
    """[wires, *shape, vectors] of numbers [vectors, *shape]."""
    return form.encode(np.moveaxis(numbers, 0, -1))
