"""Simulation of netlists, 64 vectors a machine word: a wire is a plane of bits for each digit but the middle one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .cell import Cell
from .functions import Digits, Function
from .netlist import Builder, Netlist

Plane: TypeAlias = "NDArray[np.uint64]"
"""Bits of gates by words of vectors: [gates, words], or whatever broadcasts to it."""

ZEROS, ONES = np.uint64(0), ~np.uint64(0)


def simulate(netlist: Netlist, inputs: Mapping[str, NDArray[np.integer]]) -> dict[str, NDArray[np.int8]]:
    """The outputs of a netlist. inputs: digits by name, [*wires' shape, vectors]. Returns digits in the same form.

    Raises ValueError for what is no digit, and for missing inputs and wrong shapes.
    """
    digits = netlist.library.digits
    planes, vectors = planes_of(netlist, inputs)
    return {name: _digits(planes[:, nets.ravel()], digits, vectors).reshape(*nets.shape, vectors)
            for name, nets in netlist.outputs.items()}  # fmt: skip


def planes_of(netlist: Netlist, inputs: Mapping[str, NDArray[np.integer]]) -> tuple[Plane, int]:
    """Every wire's digits: the planes [digits with planes, wires, words], and how many vectors they hold. Inputs and
    errors as of `simulate`."""
    digits = netlist.library.digits
    vectors = _vectors(netlist, inputs)
    words = -(-max(vectors, 1) // 64)
    planes = np.zeros((len(_plane_digits(digits)), netlist.wires, words), np.uint64)
    for value in digits.values:
        planes[:, value - digits.low] = [[ONES if value == each else ZEROS] for each in _plane_digits(digits)]
    for name, nets in netlist.inputs.items():
        values = np.asarray(inputs[name]).reshape(nets.size, vectors)
        for plane, value in zip(planes, _plane_digits(digits), strict=True):
            plane[nets.ravel()] = _packed(values == value, words)
    for block in netlist.by_level():
        pins = [planes[:, nets] for nets in block.inputs]
        for function, nets in zip(block.cell.functions, block.outputs, strict=True):
            for plane, value in zip(planes, _plane_digits(digits), strict=True):
                plane[nets] = _where(function, value, pins)
    return planes, vectors


def _plane_digits(digits: Digits) -> Sequence[int]:
    """The digits that have planes: the lowest and the highest of three, the higher of two."""
    return [value for value in digits.values if value != digits.low + (digits.radix - 1) // 2]


def _vectors(netlist: Netlist, inputs: Mapping[str, NDArray[np.integer]]) -> int:
    if set(inputs) != set(netlist.inputs):
        raise ValueError(f"expected inputs {', '.join(netlist.inputs)}, got {', '.join(inputs)}")
    vectors = {np.shape(values)[-1] for values in inputs.values()} or {1}
    for name, nets in netlist.inputs.items():
        if np.shape(inputs[name])[:-1] != nets.shape or len(vectors) != 1:
            raise ValueError(f"{name}: expected {[*nets.shape, 'vectors']}, got {list(np.shape(inputs[name]))}")
        if not np.isin(inputs[name], netlist.library.digits.values).all():
            raise ValueError(f"{name}: expected digits {netlist.library.digits.symbols} alone")
    return vectors.pop()


def _packed(bits: NDArray[np.bool_], words: int) -> Plane:
    padded = np.zeros((len(bits), words * 64), np.bool_)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def _digits(planes: Plane, digits: Digits, vectors: int) -> NDArray[np.int8]:
    """[wires, vectors] from planes [digits with planes, wires, words]."""
    values = np.full((planes.shape[1], vectors), digits.low + (digits.radix - 1) // 2, np.int8)
    for plane, value in zip(planes, _plane_digits(digits), strict=True):
        bits = np.unpackbits(np.ascontiguousarray(plane).view(np.uint8), axis=1, bitorder="little", count=vectors)
        values[bits.astype(bool)] = value
    return values


def _where(function: Function, value: int, pins: Sequence[Plane]) -> Plane:
    """Where a function has a value. pins: the planes of each input, [digits with planes, gates, words]."""
    made: dict[Choices, Plane | np.uint64] = {}

    def plane(choices: Choices, depth: int) -> Plane | np.uint64:
        if isinstance(choices, bool):
            return ONES if choices else ZEROS
        if choices not in made:
            made[choices] = _either(
                [(_is(function.digits, pins[depth], digits), plane(below, depth + 1)) for digits, below in choices]
            )
        return made[choices]

    found = plane(_choices(function.digits.radix, tuple(each == value for each in function.table)), 0)
    return np.broadcast_to(found, pins[0].shape[1:])


Choices: TypeAlias = "bool | tuple[tuple[tuple[int, ...], Choices], ...]"
"""A table of truth values as a tree: for groups of the first input's digits (by place) what the rest decides."""


@cache
def _choices(radix: int, table: tuple[bool, ...]) -> Choices:
    if len(table) == 1:
        return table[0]
    step, groups = len(table) // radix, dict[Choices, tuple[int, ...]]()
    for digit in range(radix):
        below = _choices(radix, table[digit * step : (digit + 1) * step])
        groups[below] = (*groups.get(below, ()), digit)
    if len(groups) == 1 and isinstance(only := next(iter(groups)), bool):
        return only
    return tuple((digits, below) for below, digits in groups.items() if below is not False)


def _is(digits: Digits, planes: Plane, places: tuple[int, ...]) -> Plane | np.uint64:
    """Where a wire has one of some digits, given by their places."""
    rows = {value - digits.low: i for i, value in enumerate(_plane_digits(digits))}
    middle = next(place for place in range(digits.radix) if place not in rows)
    if len(places) == digits.radix:
        return ONES
    if middle in places:
        others = [planes[row] for place, row in rows.items() if place not in places]
        return ~_either([(ONES, each) for each in others])
    return _either([(ONES, planes[rows[place]]) for place in places])


def _either(parts: Sequence[tuple[Plane | np.uint64, Plane | np.uint64]]) -> Plane | np.uint64:
    """The union of intersections."""
    total: Plane | np.uint64 = ZEROS
    for a, b in parts:
        both = b if a is ONES else a if b is ONES else a & b
        total = both if total is ZEROS else total | both
    return total


def every_vector(digits: Digits, inputs: int) -> NDArray[np.int8]:
    """All digits that so many inputs can have: [inputs, radix ** inputs]."""
    return np.array(list(product(digits.values, repeat=inputs)), np.int8).T


def check_cells(builder: Builder, cell: Cell) -> str:
    """What is wrong with the cells that a cell is built from: "" where they do the same for all inputs."""
    wires = {name: builder.input(name) for name in cell.pins}
    for line in cell.built:
        results, _, call = line.partition("=")
        words = call.split()
        if not words or words[0] not in builder.library.cells:
            return f"'{line}': expected 'OUTPUTS = CELL INPUTS' with a cell of the library"
        part = builder.library.cells[words[0]]
        names = [name.strip() for name in results.split(",")]
        if len(names) != len(part.outputs) or len(words) - 1 != part.inputs:
            return f"'{line}': {part.name} has {part.inputs} inputs and {len(part.outputs)} outputs"
        if unknown := [word for word in words[1:] if word not in wires]:
            return f"'{line}': '{unknown[0]}' has no value yet"
        wires.update(zip(names, builder.gate(part, *(wires[word] for word in words[1:])), strict=True))
    if missing := [name for name in cell.outputs if name not in wires]:
        return f"no line gives '{missing[0]}'"
    for name in cell.outputs:
        builder.output(name, wires[name])
    vectors = every_vector(builder.library.digits, cell.inputs)
    have = simulate(builder.finish(), dict(zip(cell.pins, vectors, strict=True)))
    for name, function in cell.outputs.items():
        wrong = np.flatnonzero(have[name] != function.of(*vectors))
        if wrong.size:
            at = vectors[:, wrong[0]].tolist()
            return f"{name} of {at} is {have[name][wrong[0]]}, the table has {function(*at)}"
    return ""
