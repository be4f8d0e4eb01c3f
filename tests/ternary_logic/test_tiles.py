"""One pixel of each operation, on 4096 random and extreme operands, in each coding: the netlist and its Verilog compute
what the interpreter does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.graph import Unmapped, map_program
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.lowering.vectors import digits_for, random_maps
from tercet.backends.ternary_logic.netlist import Netlist
from tercet.backends.ternary_logic.simulate import simulate
from tercet.ir.program import Program
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import element_of, range_of

from .helpers import DIGITS, FILES, behind, icarus, mapped, model_of, program_of, simulated, write_bench

CASES = [(model, coding) for model in FILES for coding in CODINGS]
IN_ICARUS = [pytest.param(*case, marks=[pytest.mark.nightly] if case[0] != "digits" and "two" in case[1] else [])
             for case in CASES]  # fmt: skip
"""Two's complement differs from {neg, pos} in the inputs alone: of the larger models at night."""
VECTORS, MOST = 4096, 1500
TILES = {"digits": 13, "cnv_w2a2": 17, "kws_w3a3": 7}
"""Operations with gates."""


def vectors_of(tile: Tile, program: Program) -> dict[str, np.ndarray]:
    return digits_for(tile, program, random_maps(tile, program, VECTORS, np.random.default_rng(0)))


@pytest.mark.check
@pytest.mark.parametrize(("model", "coding"), CASES)
def test_every_operation(model: str, coding: str, request: pytest.FixtureRequest) -> None:
    program, found = model_of(model, request), 0
    for tile in mapped(program, coding):
        digits = vectors_of(tile, program)
        have = simulate(tile.netlist, {name: digits[name] for name in tile.netlist.inputs})["y"]
        np.testing.assert_array_equal(have, digits["y"])
        found += 1
    assert found == TILES[model]


@pytest.mark.parametrize("model", FILES)
def test_only_operations_on_floats_are_left_out(model: str, request: pytest.FixtureRequest) -> None:
    found = list(tiles(model_of(model, request), read_library(), CODINGS["ternary"]))
    assert {one.reason for one in found if isinstance(one, Unmapped)} == {"it works on floats"}


def channel(tile: Tile) -> Netlist:
    """The middle output channel, with all gates behind it."""
    return behind(tile.netlist, {"y": tile.netlist.outputs["y"][:, :, middle(tile)]})


def middle(tile: Tile) -> slice:
    at = tile.netlist.outputs["y"].shape[2] // 2
    return slice(at, at + 1)


def assert_in_icarus(netlist: Netlist, digits: dict[str, np.ndarray], folder: Path) -> None:
    write_bench(netlist, folder, digits)
    assert simulated(folder) == f"PASS {VECTORS}"


def assert_channels_in_icarus(program: Program, tiles_: Iterable[Tile], folder: Path, *, large: bool = False) -> int:
    """Of each tile one channel, of at most MOST gates, or of more. Returns how many there were."""
    count = 0
    for tile in tiles_:
        part = channel(tile)
        if (part.gates > MOST) == large:
            digits = vectors_of(tile, program)
            assert_in_icarus(part, digits | {"y": digits["y"][:, :, middle(tile)]}, folder)
            count += 1
    return count


@icarus
@pytest.mark.slow
@pytest.mark.parametrize("coding", CODINGS)
def test_a_layer_of_the_demo_in_icarus(coding: str, tmp_path: Path) -> None:
    """The first one with weights, and its thresholds."""
    program = program_of(DIGITS)
    assert assert_channels_in_icarus(program, mapped(program, coding)[:2], tmp_path) == 2


@icarus
@pytest.mark.check
@pytest.mark.parametrize(("model", "coding"), IN_ICARUS)
def test_every_operation_in_icarus(model: str, coding: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    program = model_of(model, request)
    small = assert_channels_in_icarus(program, mapped(program, coding), tmp_path)
    assert TILES[model] - 6 <= small <= TILES[model]


@icarus
@pytest.mark.nightly
@pytest.mark.parametrize(("model", "coding"), CASES)
def test_large_channels_in_icarus(model: str, coding: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Minutes each: adders glitch, and Icarus follows every change."""
    program = model_of(model, request)
    large = assert_channels_in_icarus(program, mapped(program, coding), tmp_path, large=True)
    assert (large > 0) == (model != "digits")


@icarus
@pytest.mark.nightly
@pytest.mark.parametrize("coding", CODINGS)
def test_all_channels_of_the_demo_in_icarus(coding: str, tmp_path: Path) -> None:
    program = program_of(DIGITS)
    for tile in mapped(program, coding):
        assert_in_icarus(tile.netlist, vectors_of(tile, program), tmp_path)


def test_extreme_vectors_reach_the_ends_of_sums() -> None:
    """The random operands of a layer with weights hold one for which its first output is as large as can be."""
    program = program_of(DIGITS)
    for tile in mapped(program, "ternary"):
        op = tile.operation
        if isinstance(op, ConvOp | MatMulOp):
            low, high = range_of(element_of(op.operands[0]))
            weights = program.array(op.operands[1])
            assert weights is not None
            row = (weights[0] if isinstance(op, ConvOp) else weights[:, 0]).astype(np.int64)
            most = int(np.where(row > 0, row * high, row * low).sum())
            sums = tile.output.decode(vectors_of(tile, program)["y"])
            assert sums.reshape(sums.shape[0], sums.shape[1], -1, VECTORS)[0, 0].max() == most
            assert sums.min() < 0 < sums.max()


@pytest.mark.check
def test_copies_of_a_pixel_are_the_layer() -> None:
    """In the demo, gates of one layer differ from its pixels' by inverters that pixels share, and by functions of wires
    that are constant at borders."""
    program, library, code = program_of(DIGITS), read_library("cntfet32-static"), CODINGS["ternary"]
    whole = map_program(program, library, code).gates
    for tile in tiles(program, library, code):
        if isinstance(tile, Tile):
            for kind in ("FA", "HA", "MUL", "CMP", "TNOR", "TNAND"):
                copies, have = tile.copies * tile.netlist.counts.get(kind, 0), whole[tile.operation].get(kind, 0)
                assert have == copies or (kind in ("CMP", "TNOR", "TNAND") and 0.8 * copies < have < copies)
