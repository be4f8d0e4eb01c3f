"""Structural Verilog: a module of cell instances, the cells' own modules, and a test bench with vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ....ir.names import identifier
from ..cell import Cell, Library
from ..netlist import Netlist, Nets
from .bits import bits_of, lines_of, rows, width

CODE = "// A trit is two wires {neg, pos}: 10 is -1, 00 is 0, 01 is 1."


def module(netlist: Netlist, name: str, about: str = "") -> Iterator[str]:
    """The lines of the netlist's module. Ports are vectors of all wires of a name, the first wire lowest.

    name: of the module, an identifier. about: a line of comment on where it comes from.
    """
    digits = netlist.library.digits
    size = width(digits)
    yield from [f"// {_line(about)}"] if about else []
    yield from [CODE] if size == 2 else []
    ports = [port for port, wires in [*netlist.inputs.items(), *netlist.outputs.items()] if wires.size]
    yield f"module {name}({', '.join(ports)});"
    for word, nets in (("input", netlist.inputs), ("output", netlist.outputs)):
        yield from (f"  {word} [{size * wires.size - 1}:0] {port};" for port, wires in nets.items() if wires.size)
    yield f"  wire {_range(size)}{', '.join(f'n{wire}' for wire in range(digits.radix))};"
    for wire, value in enumerate(digits.values):
        yield f"  assign n{wire} = {size}'b{bits_of(digits, value)};"
    for port, wires in netlist.inputs.items():
        for i, wire in enumerate(wires.ravel().tolist()):
            yield f"  wire {_range(size)}n{wire} = {port}{_part(size, i)};"
    for block in netlist.blocks:
        yield from _instances(block.cell, block.inputs, block.outputs, size)
    for port, wires in netlist.outputs.items():
        yield from (f"  assign {port}{_part(size, i)} = n{wire};" for i, wire in enumerate(wires.ravel().tolist()))
    yield "endmodule"


def _line(text: str) -> str:
    return " ".join(text.split())


def _range(size: int) -> str:
    return f"[{size - 1}:0] " if size > 1 else ""


def _part(size: int, i: int) -> str:
    return f"[{i}]" if size == 1 else f"[{size * i + size - 1}:{size * i}]"


def _instances(cell: Cell, inputs: Nets, outputs: Nets, size: int) -> Iterator[str]:
    for pins, results in zip(inputs.T.tolist(), outputs.T.tolist(), strict=True):
        yield f"  wire {_range(size)}{', '.join(f'n{wire}' for wire in results)};"
        given = zip([*cell.pins, *cell.outputs], [*pins, *results], strict=True)
        yield f"  {cell.name} g{results[0]}({', '.join(f'.{pin}(n{wire})' for pin, wire in given)});"


def cells(library: Library) -> Iterator[str]:
    """The lines of a library's cells as modules: truth tables."""
    size = width(library.digits)
    yield f"// Cells of {library.name}: {library.title}."
    yield from [CODE] if size == 2 else []
    for cell in library.cells.values():
        pins = list(cell.pins)
        yield f"// {cell.transistors} transistors, {cell.inverters} more of inverters: {_line(cell.source.citation)}"
        yield f"module {cell.name}({', '.join([*pins, *cell.outputs])});"
        yield f"  input {_range(size)}{', '.join(pins)};"
        yield f"  output reg {_range(size)}{', '.join(cell.outputs)};"
        yield from ["`ifdef SYNTHESIS", "  always @*", "`else // a cell whose inputs never change has to be started"]
        yield "  reg started; initial begin started = 0; #0 started = 1; end"
        yield from [f"  always @(started, {', '.join(pins)})", "`endif", f"  case ({{{', '.join(pins)}}})"]
        results, bits = f"{{{', '.join(cell.outputs)}}}", size * len(cell.outputs)
        for rows_ in zip(*(rows(cell, output) for output in cell.outputs), strict=True):
            given = rows_[0][0]
            yield f"    {size * len(given)}'b{'_'.join(given)}: {results} = {bits}'b{'_'.join(r for _, r in rows_)};"
        yield f"    default: {results} = {bits}'b{'x' * bits};"
        yield "  endcase"
        yield "endmodule"


def bench(netlist: Netlist, name: str, vectors: int) -> Iterator[str]:
    """The lines of a bench that feeds vectors, of NAME_PORT.mem, and compares: it prints `PASS n` or `FAIL n of m`."""
    size = width(netlist.library.digits)
    yield f"module {name}_bench;"
    yield "  integer i, wrong;"
    inputs, outputs = ([port for port, wires in side.items() if wires.size] for side in
                       (netlist.inputs, netlist.outputs))  # fmt: skip
    for port in (*inputs, *outputs):
        wires = {**netlist.inputs, **netlist.outputs}[port]
        bits = size * wires.size
        yield f"  {'reg' if port in inputs else 'wire'} [{bits - 1}:0] {port};"
        yield f"  reg [{bits - 1}:0] {port}_lines [0:{vectors - 1}];"
    ports = [*inputs, *outputs]
    yield f"  {name} dut({', '.join(f'.{port}({port})' for port in ports)});"
    yield "  initial begin"
    yield from (f'    $readmemb("{name}_{port}.mem", {port}_lines);' for port in ports)
    yield "    wrong = 0;"
    yield f"    for (i = 0; i < {vectors}; i = i + 1) begin"
    yield from (f"      {port} = {port}_lines[i];" for port in inputs)
    yield "      #1;"
    same = " && ".join(f"{port} === {port}_lines[i]" for port in outputs)
    yield f"      if (!({same})) wrong = wrong + 1;"
    yield "    end"
    yield f'    if (wrong == 0) $display("PASS %0d", {vectors}); else $display("FAIL %0d of %0d", wrong, {vectors});'
    yield "    $finish;"
    yield "  end"
    yield "endmodule"


def cells_file(library: Library) -> str:
    """The name of the file that holds a library's cells."""
    return f"{identifier(library.name)}_cells.v"


def bench_files(
    netlist: Netlist, name: str, values: Mapping[str, NDArray[np.integer]], about: str = ""
) -> dict[str, Iterator[str]]:
    """The lines of NAME.v, NAME_bench.v and of the vectors, NAME_PORT.mem; the bench needs the cells beside them.

    values: digits of all ports, [*shape, vectors]. Raises ValueError for other ports and for different numbers of them.
    """
    ports = {**netlist.inputs, **netlist.outputs}
    counts = {array.shape[-1] for array in values.values()}
    shapes = {port: array.shape[:-1] for port, array in values.items()}
    if len(counts) != 1 or shapes != {port: nets.shape for port, nets in ports.items()}:
        raise ValueError(f"{name}: expected vectors of {', '.join(ports)}, as many of each")
    (vectors,) = counts
    files = {f"{name}.v": module(netlist, name, about), f"{name}_bench.v": bench(netlist, name, vectors)}
    for port in (port for port, nets in ports.items() if nets.size):
        lines = lines_of(netlist.library.digits, values[port].reshape(-1, vectors))
        files[f"{name}_{port}.mem"] = iter(lines)
    return files
