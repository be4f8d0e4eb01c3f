"""What a network costs in gates: operation by operation, for libraries and codings, beside each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from xdsl.ir import Operation

from ...ir.locations import source_names
from ...ir.program import Program
from ...ir.tn.constant import ConstantOp
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.types import element_of, is_float, shape_of
from .activity import activity
from .arrays import ArrayCost, array_costs
from .cell import Library
from .functions import BINARY
from .lowering.coding import Coding
from .lowering.graph import Unmapped
from .lowering.tiles import Tile, tiles
from .lowering.vectors import Maps, encoded


@dataclass(frozen=True)
class OperationCost:
    """An operation in gates, every pixel with gates of its own.

    nodes: of the source model. copies: how many pixels there are. cells: gates of all of them by cell. wires: between
    them. depth: gates on the longest path of a pixel. area: um2, None where the library does not give it. inputs,
    outputs: digits of its maps; weights: digits of its constants, as a circuit without fixed weights would read them.
    saved: transistors that it would have more, did each output add up its own sums.
    factors: how many fixed weights it multiplies with, zeros: so many of them are 0. zeros_save: transistors of all
    pixels, see `_saved`; None where the library has no full adder. changes: how many outputs of its gates change from
    one inference to the next; None where no inputs were given.
    """

    name: str
    nodes: tuple[str, ...]
    copies: int
    cells: Mapping[str, int]
    transistors: int
    wires: int
    depth: int
    area: float | None
    inputs: int
    outputs: int
    weights: int
    saved: int = 0
    factors: int = 0
    zeros: int = 0
    zeros_save: int | None = 0
    changes: float | None = None

    @property
    def gates(self) -> int:
        return sum(self.cells.values())


@dataclass(frozen=True)
class Outside:
    """An operation that has no gates, and why. It is in no sum."""

    name: str
    nodes: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class NetworkCost:
    """operations: each with gates of its own, for all pixels at once. arrays: that compute their sums step by step
    instead; none were asked for where there are none."""

    library: Library
    coding: Coding
    operations: tuple[OperationCost, ...]
    outside: tuple[Outside, ...]
    arrays: tuple[ArrayCost, ...] = ()

    @property
    def binary(self) -> bool:
        return self.library.digits == BINARY

    @property
    def cells(self) -> Mapping[str, int]:
        total = Counter[str]()
        for one in self.operations:
            total.update(one.cells)
        return dict(sorted(total.items()))

    @property
    def full_adders(self) -> int:
        cell = self.library.full_adder
        return 0 if cell is None else self.cells.get(cell.name, 0)

    @property
    def gates(self) -> int:
        return sum(one.gates for one in self.operations)

    @property
    def transistors(self) -> int:
        return sum(one.transistors for one in self.operations)

    @property
    def changes(self) -> float | None:
        """Outputs of gates that change from one inference to the next; None where an operation's are not known."""
        each = [one.changes for one in self.operations]
        return None if any(changes is None for changes in each) else sum(changes for changes in each if changes)

    @property
    def saved(self) -> int:
        return sum(one.saved for one in self.operations)

    @property
    def wires(self) -> int:
        return sum(one.wires for one in self.operations)

    @property
    def radix_cost(self) -> int:
        """The radix times the wires: what is compared where a digit is taken to cost as much as its radix."""
        return self.library.digits.radix * self.wires

    @property
    def factors(self) -> int:
        return sum(one.factors for one in self.operations)

    @property
    def zeros(self) -> int:
        return sum(one.zeros for one in self.operations)

    @property
    def zeros_save(self) -> int | None:
        saved = [one.zeros_save for one in self.operations]
        return None if any(each is None for each in saved) else sum(each for each in saved if each)

    @property
    def depth(self) -> int:
        """Gates one after the other, of all operations."""
        return sum(one.depth for one in self.operations)

    @property
    def area(self) -> float | None:
        areas = [one.area for one in self.operations]
        return None if not areas or any(area is None for area in areas) else sum(area for area in areas if area)

    @property
    def traffic(self) -> int:
        """Digits that an inference reads and writes where maps and weights lie in a memory: every map and weight once
        for each operation."""
        return sum(one.inputs + one.outputs + one.weights for one in self.operations)


def cost_of(
    program: Program, library: Library, coding: Coding, on_operation: Callable[[str], None] = lambda name: None,
    lanes: int = 0, read: Mapping[Operation, Sequence[Maps]] | None = None,
) -> NetworkCost:
    """Of a program after `gate_passes`. on_operation: told the name of each. lanes: of arrays; 0 for none. read: by
    some pixels of each operation, of one inference after the other. Raises ValueError where coding and library have
    other digits."""
    library.require(coding.name, coding.digits)
    operations, outside = list[OperationCost](), list[Outside]()
    for found in tiles(program, library, coding):
        nodes = tuple(source_names(found.operation.location))
        name = found.operation.name.removeprefix("tn.")
        on_operation(" + ".join(nodes) or name)
        if isinstance(found, Unmapped):
            outside.append(Outside(name, nodes, found.reason))
        elif found.netlist.gates:
            cost = _cost(found, program, name, nodes, coding)
            operations.append(cost if read is None else replace(cost, changes=_changes(found, read)))
    arrays = array_costs(program, library, coding, lanes) if lanes else ()
    return NetworkCost(library, coding, tuple(operations), tuple(outside), arrays)


def _saved(tile: Tile, zeros: int) -> int | None:
    """Transistors of all pixels that zero weights save. With another weight each would give the sum at least one digit
    more for every wire of its input; a full adder takes three digits and leaves two, so as many more of them would be
    needed. An estimate, where no sums are shared: longer sums, and inverters of negative weights, are not counted."""
    cell = tile.netlist.library.full_adder
    wires = tile.inputs[0].wires if zeros else 0
    return None if cell is None else tile.copies * zeros * wires * cell.all_transistors


def _changes(tile: Tile, read: Mapping[Operation, Sequence[Maps]]) -> float | None:
    """Of all pixels, by the mean of some. None where all of them are at a border."""
    found = []
    for maps in read.get(tile.operation, ()):
        digits = {f"x{i}": encoded(form, a) for i, (form, a) in enumerate(zip(tile.inputs, maps, strict=True))}
        found.append(activity(tile.netlist, digits).per_step)
    return tile.copies * sum(found) / len(found) if found else None


def _cost(tile: Tile, program: Program, name: str, nodes: tuple[str, ...], coding: Coding) -> OperationCost:
    netlist, copies = tile.netlist, tile.copies
    factors = program.array(tile.operation.operands[1]) if isinstance(tile.operation, ConvOp | MatMulOp) else None
    zeros = 0 if factors is None else int(np.count_nonzero(factors == 0))
    return OperationCost(
        name, nodes, copies,
        {cell: copies * count for cell, count in netlist.counts.items()},
        copies * netlist.transistors,
        copies * (netlist.wires - netlist.library.digits.radix),
        netlist.depth,
        None if netlist.area is None else copies * netlist.area,
        sum(_digits(tile.operation.operands, coding, constant=False)),
        sum(_digits(tile.operation.results, coding, constant=False)),
        sum(_digits(tile.operation.operands, coding, constant=True)),
        copies * tile.saved,
        0 if factors is None else factors.size,
        zeros,
        _saved(tile, zeros),
    )  # fmt: skip


def _digits(values: Sequence, coding: Coding, *, constant: bool) -> Iterator[int]:
    for value in values:
        if isinstance(value.owner, ConstantOp) == constant and not is_float(value):
            yield prod(shape_of(value)) * coding.form(element_of(value)).wires
