"""Netlists of ours as Verilog for Yosys: adders may stay as they are, all other gates are functions to improve on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np

from ..netlist import Block, Netlist, Nets
from .liberty import minterms
from .recipes import TOP


def cone(netlist: Netlist, port: str, nets: Nets) -> Netlist:
    """The gates that some wires of an output need, which become the whole of it."""
    needed, blocks = np.zeros(netlist.wires, bool), list[Block]()
    needed[nets] = True
    for block in reversed(netlist.blocks):
        some = needed[block.outputs].any(axis=0)
        if some.any():
            inputs = block.inputs[:, some]
            blocks.append(Block(block.cell, inputs, block.outputs[:, some]))
            needed[inputs] = True
    return replace(netlist, blocks=blocks[::-1], outputs={port: nets})


def explicit(netlist: Netlist, keep: Collection[str]) -> Iterator[str]:
    """The lines of a module of a binary netlist. keep: cells that stay, as black boxes of their name."""
    library = netlist.library
    for name in sorted({block.cell.name for block in netlist.blocks} & set(keep)):
        cell = library.cells[name]
        ports = [*(f"input {pin}" for pin in cell.pins), *(f"output {output}" for output in cell.outputs)]
        yield f"(* blackbox *) module {name}({', '.join(ports)}); endmodule"
    ports = [f"input [{nets.size - 1}:0] {port}" for port, nets in netlist.inputs.items() if nets.size]
    ports += [f"output [{nets.size - 1}:0] {port}" for port, nets in netlist.outputs.items()]
    yield f"module {TOP}({', '.join(ports)});"
    yield "  wire n0 = 1'b0, n1 = 1'b1;"
    for port, nets in netlist.inputs.items():
        yield from (f"  wire n{net} = {port}[{i}];" for i, net in enumerate(nets.ravel().tolist()))
    for block in netlist.blocks:
        yield from _gates(block, block.cell.name in keep)
    for port, nets in netlist.outputs.items():
        yield f"  assign {port} = {{{', '.join(f'n{net}' for net in reversed(nets.ravel().tolist()))}}};"
    yield "endmodule"


def _gates(block: Block, keep: bool) -> Iterator[str]:
    cell = block.cell
    functions = {} if keep else {output: minterms(cell, output).replace("!", "~") for output in cell.outputs}
    for pins, results in zip(block.inputs.T.tolist(), block.outputs.T.tolist(), strict=True):
        wires = dict(zip(cell.pins, pins, strict=True))
        if keep:
            yield f"  wire {', '.join(f'n{net}' for net in results)};"
            nets = [*wires.items(), *zip(cell.outputs, results, strict=True)]
            yield f"  {cell.name} g{results[0]}({', '.join(f'.{pin}(n{net})' for pin, net in nets)});"
            continue
        for net, text in zip(results, functions.values(), strict=True):
            yield f"  wire n{net} = {_named(text, wires)};"


def _named(text: str, wires: dict[str, int]) -> str:
    return "".join(f"n{wires[letter]}" if letter in wires else letter for letter in text)
