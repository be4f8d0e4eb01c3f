"""Netlists: gates of one cell library, wires between them, and what they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .cell import Cell, Library

Nets: TypeAlias = "NDArray[np.int32]"
"""Numbers of wires, in any shape. The first `radix` wires are the constants, in ascending order."""


@dataclass(frozen=True)
class Block:
    """Gates of one kind that do not depend on each other. inputs, outputs: wires, [pins, gates]."""

    cell: Cell
    inputs: Nets
    outputs: Nets


def gates_of(blocks: Iterable[Block]) -> Counter[str]:
    """How many gates there are of each cell, by name."""
    found = Counter[str]()
    for block in blocks:
        found[block.cell.name] += block.outputs.shape[1]
    return found


@dataclass(frozen=True)
class Netlist:
    """wires: how many there are. blocks: in an order in which wires are driven before they are read. inputs, outputs:
    wires by name, in order."""

    library: Library
    wires: int
    blocks: Sequence[Block]
    inputs: Mapping[str, Nets]
    outputs: Mapping[str, Nets]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Gates by the names of their cells."""
        return dict(sorted(gates_of(self.blocks).items()))

    @property
    def gates(self) -> int:
        return sum(self.counts.values())

    @property
    def transistors(self) -> int:
        """With the inverters of each gate's inputs, of which gates share none."""
        return sum(self.library.cells[name].all_transistors * count for name, count in self.counts.items())

    @property
    def area(self) -> float | None:
        """um2; None where the library does not give it for every cell in use."""
        areas = [(self.library.cells[name].area, count) for name, count in self.counts.items()]
        return None if any(area is None for area, _ in areas) else sum(area * count for area, count in areas if area)

    @cached_property
    def levels(self) -> NDArray[np.int32]:
        """Gates on the longest path to each wire, itself included."""
        levels = np.zeros(self.wires, np.int32)
        for block in self.blocks:
            levels[block.outputs] = levels[block.inputs].max(axis=0, initial=0) + 1
        return levels

    @property
    def depth(self) -> int:
        """Gates on the longest path to an output."""
        return max((int(self.levels[nets].max(initial=0)) for nets in self.outputs.values()), default=0)

    def by_level(self) -> Iterable[Block]:
        """The same gates in as few blocks as there are pairs of a level and a cell."""
        found: dict[tuple[int, str], list[Block]] = {}
        for block in self.blocks:
            levels = self.levels[block.outputs[0]]
            for level in np.unique(levels):
                at = levels == level
                part = Block(block.cell, block.inputs[:, at], block.outputs[:, at])
                found.setdefault((int(level), block.cell.name), []).append(part)
        for _, parts in sorted(found.items()):
            inputs, outputs = ([getattr(part, side) for part in parts] for side in ("inputs", "outputs"))
            yield Block(parts[0].cell, np.concatenate(inputs, axis=1), np.concatenate(outputs, axis=1))


@dataclass
class Builder:
    """Appends gates to a netlist: many at once, where wires are arrays."""

    library: Library
    wires: int = 0
    blocks: list[Block] = field(default_factory=list)
    inputs: dict[str, Nets] = field(default_factory=dict)
    outputs: dict[str, Nets] = field(default_factory=dict)
    _unary: dict[str, Nets] = field(default_factory=dict)  # by cell: the gate's output for each wire, or -1

    def __post_init__(self) -> None:
        self.wires = self.library.digits.radix

    def constant(self, value: int | NDArray[np.integer]) -> Nets:
        """The wires of constant digits."""
        return np.asarray(np.asarray(value) - self.library.digits.low, np.int32)

    def input(self, name: str, *shape: int) -> Nets:
        self.inputs[name] = self._new(*shape)
        return self.inputs[name]

    def output(self, name: str, nets: Nets) -> None:
        self.outputs[name] = np.asarray(nets, np.int32)

    def gate(self, cell: Cell, *inputs: Nets) -> tuple[Nets, ...]:
        """Gates of one kind, a wire for each output of each of them. inputs: broadcast against each other. A wire has
        one inverter of a kind, however many read it."""
        if len(inputs) != cell.inputs:
            raise ValueError(f"{cell.name} has {cell.inputs} inputs, got {len(inputs)}")
        if cell.inputs == len(cell.outputs) == 1:
            return (self._shared(cell, inputs[0]),)
        pins = np.broadcast_arrays(*inputs)
        outputs = self._new(len(cell.outputs), *pins[0].shape)
        if outputs.size:
            flat = np.stack([pin.ravel() for pin in pins]).astype(np.int32)
            self.blocks.append(Block(cell, flat, outputs.reshape(len(outputs), -1)))
        return tuple(outputs)

    def _shared(self, cell: Cell, nets: Nets) -> Nets:
        known = self._unary.get(cell.name, np.empty(0, np.int32))
        if len(known) < self.wires:
            more = np.full(max(self.wires, 2 * len(known)) - len(known), -1, np.int32)
            self._unary[cell.name] = known = np.concatenate([known, more])
        new = np.unique(nets[known[nets] < 0])
        if new.size:
            known[new] = self._new(len(new))
            self.blocks.append(Block(cell, new[None], known[new][None]))
        return known[nets]

    def finish(self) -> Netlist:
        return Netlist(self.library, self.wires, list(self.blocks), dict(self.inputs), dict(self.outputs))

    def _new(self, *shape: int) -> Nets:
        count = int(np.prod(shape, dtype=np.int64))
        nets = np.arange(self.wires, self.wires + count, dtype=np.int32).reshape(shape)
        self.wires += count
        return nets
