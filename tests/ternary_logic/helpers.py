"""What tests of netlists share: models with their tiles, Icarus Verilog, and the part of a netlist behind an output."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tercet.api import opt
from tercet.backends.ternary_logic.formats.verilog import bench_files, cells, cells_file
from tercet.backends.ternary_logic.functions import BINARY
from tercet.backends.ternary_logic.library import DEFAULT, DEFAULT_BINARY, read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.pipeline import gate_passes
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.netlist import Block, Netlist
from tercet.ir.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = EXAMPLES / "digits" / "digits_ternary.onnx"
FILES = {"digits": DIGITS, "cnv_w2a2": Path("cnv_w2a2.onnx"), "kws_w3a3": Path("kws_w3a3.qonnx.onnx")}
LIBRARIES = {name: DEFAULT_BINARY if code.digits == BINARY else DEFAULT for name, code in CODINGS.items()}
PASSES = ",".join(map(str, gate_passes()))

icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed (apt install iverilog)")


@cache
def program_of(path: Path) -> Program:
    return opt(path, PASSES)


def model_of(name: str, request: pytest.FixtureRequest) -> Program:
    """The demo model, or one of the shared ones; skips where these are not there."""
    file = FILES[name]
    return program_of(file if file.is_absolute() else request.getfixturevalue("models") / file)


def mapped(program: Program, coding: str) -> list[Tile]:
    """The operations that have gates, in the default library of a coding's digits."""
    found = tiles(program, read_library(LIBRARIES[coding]), CODINGS[coding])
    return [tile for tile in found if isinstance(tile, Tile) and tile.netlist.gates]


def behind(netlist: Netlist, outputs: Mapping[str, np.ndarray]) -> Netlist:
    """The same inputs, some of the outputs, and the gates that these need."""
    needed = np.zeros(netlist.wires, bool)
    for nets in outputs.values():
        needed[nets] = True
    blocks = list[Block]()
    for block in reversed(netlist.blocks):
        at = needed[block.outputs].any(axis=0)
        needed[block.inputs[:, at]] = True
        blocks.insert(0, Block(block.cell, block.inputs[:, at], block.outputs[:, at]))
    return Netlist(netlist.library, netlist.wires, blocks, netlist.inputs, dict(outputs))


def write_bench(netlist: Netlist, folder: Path, values: Mapping[str, np.ndarray], about: str = "") -> None:
    files = bench_files(netlist, "dut", values, about) | {cells_file(netlist.library): cells(netlist.library)}
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="ascii", errors="backslashreplace")


def simulated(folder: Path) -> str:
    """What Icarus prints for the bench in a folder. A warning of its compiler fails."""
    sources = sorted(str(path) for path in folder.glob("*.v"))
    command = ["iverilog", "-g2001", "-Wall", "-o", str(folder / "bench"), *sources]
    made = subprocess.run(command, check=True, timeout=600, capture_output=True, text=True)
    assert not made.stderr, made.stderr
    done = subprocess.run(["vvp", "bench"], cwd=folder, capture_output=True, text=True, check=True, timeout=3600)
    return done.stdout.strip()
