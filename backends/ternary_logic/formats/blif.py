"""Netlists in BLIF: a model of subcircuits, and a model for each cell with its truth table."""

from __future__ import annotations

from collections.abc import Iterator

from ..cell import Cell
from ..functions import Digits
from ..netlist import Netlist
from .bits import bits_of, rows, width

LEGS = {1: ("",), 2: ("_neg", "_pos")}
"""What the bits of a digit are called, the highest first."""


def blif(netlist: Netlist, name: str) -> Iterator[str]:
    """The lines of a file. Bits of a port are called PORT_i, trits PORT_i_neg and PORT_i_pos."""
    digits = netlist.library.digits
    legs = LEGS[width(digits)]
    yield f".model {name}"
    for word, nets in (("inputs", netlist.inputs), ("outputs", netlist.outputs)):
        bits = (f"{port}_{i}{leg}" for port, wires in nets.items() for i in range(wires.size) for leg in legs)
        yield f".{word} {' '.join(bits)}"
    for wire, value in enumerate(digits.values):
        for leg, bit in zip(legs, bits_of(digits, value), strict=True):
            yield f".names n{wire}{leg}"
            yield from ["1"] if bit == "1" else []
    for port, wires in netlist.inputs.items():
        yield from (line for i, wire in enumerate(wires.ravel().tolist()) for leg in legs
                    for line in (f".names {port}_{i}{leg} n{wire}{leg}", "1 1"))  # fmt: skip
    for block in netlist.blocks:
        names = [*block.cell.pins, *block.cell.outputs]
        for wires in zip(*block.inputs.tolist(), *block.outputs.tolist(), strict=True):
            pins = (f"{pin}{leg}=n{wire}{leg}" for pin, wire in zip(names, wires, strict=True) for leg in legs)
            yield f".subckt {block.cell.name} {' '.join(pins)}"
    for port, wires in netlist.outputs.items():
        yield from (line for i, wire in enumerate(wires.ravel().tolist()) for leg in legs
                    for line in (f".names n{wire}{leg} {port}_{i}{leg}", "1 1"))  # fmt: skip
    yield ".end"
    for cell in {block.cell.name: block.cell for block in netlist.blocks}.values():
        yield from _model(cell, digits)


def _model(cell: Cell, digits: Digits) -> Iterator[str]:
    legs = LEGS[width(digits)]
    inputs = [f"{pin}{leg}" for pin in cell.pins for leg in legs]
    yield f".model {cell.name}"
    yield f".inputs {' '.join(inputs)}"
    yield f".outputs {' '.join(f'{output}{leg}' for output in cell.outputs for leg in legs)}"
    for output in cell.outputs:
        for i, leg in enumerate(legs):
            yield f".names {' '.join(inputs)} {output}{leg}"
            yield from (f"{''.join(given)} 1" for given, result in rows(cell, output) if result[i] == "1")
    yield ".end"
