"""One pixel of each operation, against the interpreter on 4096 random and extreme operands, in each coding."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from xdsl.ir import SSAValue

from tercet.api import opt
from tercet.backends.reference.interpreter import evaluate
from tercet.backends.ternary_logic.functions import BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.graph import Unmapped, map_program
from tercet.backends.ternary_logic.lowering.pipeline import gate_passes
from tercet.backends.ternary_logic.lowering.tiles import Tile, operands_of, tiles
from tercet.backends.ternary_logic.simulate import simulate
from tercet.ir.program import Program
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import SetType, element_of, range_of, shape_of, values_of

PASSES = ",".join(map(str, gate_passes()))
DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"
FILES = {"digits": DIGITS, "cnv_w2a2": Path("cnv_w2a2.onnx"), "kws_w3a3": Path("kws_w3a3.qonnx.onnx")}
CASES = [(model, coding) for model in FILES for coding in ("ternary", "{neg, pos}")] + [("digits", "two's complement")]
VECTORS, CHUNK = 4096, 512


@cache
def program_of(path: Path) -> Program:
    return opt(path, PASSES)


def operands(value: SSAValue, count: int, rng: np.random.Generator) -> np.ndarray:
    """Of a map's element type, [count, *shape without the first axis]: random ones; all lowest; all highest; each of
    the two at random, so that sums become large."""
    element, (_, *shape) = element_of(value), shape_of(value)
    low, high = range_of(element)
    choices = np.array(values_of(element)) if isinstance(element, SetType) else None
    found = rng.integers(low, high + 1, (count, *shape)) if choices is None else rng.choice(choices, (count, *shape))
    found[0], found[1] = low, high
    found[2 : count // 4] = rng.choice([low, high], (count // 4 - 2, *shape))
    return found


def assert_as_interpreted(tile: Tile, program: Program, rng: np.random.Generator) -> None:
    maps = [v for v, whole in zip(tile.part.operands, tile.operation.operands, strict=True)
            if not isinstance(whole.owner, ConstantOp)]  # fmt: skip
    for _ in range(VECTORS // CHUNK):
        numbers = [operands(value, CHUNK, rng) for value in maps]
        if isinstance(tile.operation, ConvOp | MatMulOp):
            numbers[0][-1] = strongest(tile, program)
        (want,) = evaluate(tile.part, operands_of(tile, program, numbers))
        feeds = {
            f"x{i}": form.encode(np.moveaxis(array, 0, -1)[None]) for i, (form, array) in
            enumerate(zip(tile.inputs, numbers, strict=True))
        }  # fmt: skip
        have = tile.output.decode(simulate(tile.netlist, feeds)["y"])
        np.testing.assert_array_equal(have[0], np.moveaxis(want, 0, -1))


def strongest(tile: Tile, program: Program) -> np.ndarray:
    """The input for which the first output is as large as it can be."""
    low, high = range_of(element_of(tile.part.operands[0]))
    weights = program.array(tile.operation.operands[1])
    assert weights is not None
    row = weights[0] if isinstance(tile.operation, ConvOp) else weights[:, 0]
    if isinstance(tile.operation, ConvOp) and tile.operation.get("group") > 1:
        return np.full(shape_of(tile.part.operands[0])[1:], high)
    return np.where(row > 0, high, low).reshape(shape_of(tile.part.operands[0])[1:])


@pytest.mark.check
@pytest.mark.parametrize(("model", "coding"), CASES)
def test_every_operation(model: str, coding: str, request: pytest.FixtureRequest) -> None:
    path = FILES[model] if FILES[model].is_absolute() else request.getfixturevalue("models") / FILES[model]
    program, code, rng = program_of(path), CODINGS[coding], np.random.default_rng(0)
    library = read_library("nangate45-like" if code.digits == BINARY else "cntfet32-static")
    found = list(tiles(program, library, code))
    assert {one.reason for one in found if isinstance(one, Unmapped)} == {"it works on floats"}
    mapped = [tile for tile in found if isinstance(tile, Tile) and tile.netlist.gates]
    assert len(mapped) >= 7
    for tile in mapped:
        assert_as_interpreted(tile, program, rng)


def test_copies_of_a_pixel_are_the_layer() -> None:
    """In the demo, gates of one layer differ from its pixels' by inverters that pixels share and adders at borders."""
    program, library, code = program_of(DIGITS), read_library("cntfet32-static"), CODINGS["ternary"]
    whole = map_program(program, library, code).gates
    kinds = ("FA", "HA", "MUL", "CMP", "TNOR", "TNAND")
    for tile in tiles(program, library, code):
        if isinstance(tile, Tile):
            counts = {kind: tile.copies * tile.netlist.counts.get(kind, 0) for kind in kinds}
            assert counts == {kind: whole[tile.operation].get(kind, 0) for kind in kinds}
