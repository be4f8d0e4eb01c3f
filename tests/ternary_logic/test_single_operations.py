"""Operations on maps alone, of forms that few networks have: products of two maps, clips, quotients. In every coding a
tile computes what the interpreter does, and what is recorded for its copies makes up the operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from kernel_case import Case
from xdsl.ir import SSAValue

from tercet.backends.reference.interpreter import evaluate
from tercet.backends.ternary_logic.arrays import array_costs
from tercet.backends.ternary_logic.functions import BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.graph import Unmapped, map_program
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.lowering.vectors import digits_for, maps_in, random_maps
from tercet.backends.ternary_logic.simulate import simulate
from tercet.backends.ternary_logic.yosys.behaviour import behaviour_of
from tercet.ir.operation import TensorOperation
from tercet.ir.program import Program
from tercet.ir.tn.elementwise import AddOp, ClipOp
from tercet.ir.tn.linear import MatMulOp
from tercet.ir.tn.quant import RequantizeOp, ThresholdOp
from tercet.ir.types import Element, SetType, element_of, int_type, range_of, set_type, shape_of, values_of

Numbers = tuple[int, int] | set[int]


def net_of(*maps: tuple[tuple[int, ...], Numbers]) -> Case:
    """maps: shape and numbers of each input."""
    return Case("net", [(shape, element(numbers)) for shape, numbers in maps])


def finish(net: Case, kind: type[TensorOperation], *operands: SSAValue, **attributes: Any) -> Program:
    """The program of one operation."""
    return net.returns(net.add(kind, *operands, **attributes)).program


def element(numbers: Numbers) -> Element:
    return set_type(sorted(numbers)) if isinstance(numbers, set) else int_type(*numbers)


TRIT, SIGN, BIT, BYTE, SIGNED = (-1, 1), {-1, 1}, (0, 1), (0, 255), (-8, 7)


def matmul(a: tuple[int, ...], b: tuple[int, ...], left: Numbers, right: Numbers) -> Program:
    net = net_of((a, left), (b, right))
    return finish(net, MatMulOp, *net.inputs)


def clip(numbers: Numbers, low: float, high: float) -> Program:
    net = net_of(((1, 3, 4), numbers))
    return finish(net, ClipOp, net.inputs[0], lo=float(low), hi=float(high))


def requantize(numbers: Numbers, multiplier: object, divisor: object, low: int, high: int, mode: str) -> Program:
    net = net_of(((2, 3, 5), numbers))
    factors = [net.constant(np.asarray(factor, np.int64)) for factor in (multiplier, divisor)]
    return finish(net, RequantizeOp, net.inputs[0], *factors, lo=low, hi=high, mode=mode)


PROGRAMS = {
    "trits by trits": lambda: matmul((2, 5), (5, 3), TRIT, TRIT),
    "signs by signs": lambda: matmul((1, 3, 4), (1, 4, 2), SIGN, SIGN),
    "signs by trits": lambda: matmul((2, 2, 3, 4), (2, 2, 4, 2), SIGN, TRIT),
    "bits by signs": lambda: matmul((2, 7), (7, 2), BIT, SIGN),
    "bytes by four bits": lambda: matmul((3, 2, 6), (6, 2), BYTE, SIGNED),
    "a batch of one matrix": lambda: matmul((2, 6), (4, 6, 3), SIGNED, SIGNED),
    "one term": lambda: matmul((2, 1), (1, 3), SIGNED, BYTE),
    "clip below": lambda: clip(SIGNED, -3, np.inf),
    "clip above": lambda: clip(BYTE, -np.inf, 100),
    "clip to trits": lambda: clip((-100, 27), -1, 1),
    "clip to one number": lambda: clip(SIGNED, 5, 5),
    "clip beyond": lambda: clip(SIGNED, -100, 100),
    "clip to above": lambda: clip(SIGNED, 20, 30),
    "clip of trits": lambda: clip(TRIT, 0, 1),
    "clip of signs": lambda: clip(SIGN, 0, 1),
    "a quotient": lambda: requantize((-200, 130), 3, 14, -128, 127, "round"),
    "a falling quotient": lambda: requantize((-40, 130), -5, 7, -20, 20, "half_up"),
    "a quotient by channel": lambda: requantize(BYTE, [[[3], [-1], [0]]], [[[7], [9], [2]]], -128, 127, "floor"),
    "a quotient by element": lambda: requantize(SIGNED, 2, np.arange(1, 6), -4, 4, "round"),
    "a steep quotient": lambda: requantize(SIGNED, 7, 3, -128, 127, "round"),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_interpreted(name: str, coding: str) -> None:
    program, code = PROGRAMS[name](), CODINGS[coding]
    library = read_library("nangate45-like" if code.digits == BINARY else "cntfet32-static")
    (tile,) = tiles(program, library, code)
    assert isinstance(tile, Tile), tile
    digits = digits_for(tile, program, random_maps(tile, program, 600, np.random.default_rng(0)))
    have = simulate(tile.netlist, {port: digits[port] for port in tile.netlist.inputs})["y"]
    np.testing.assert_array_equal(have, digits["y"])
    mapped = map_program(program, library, code)
    assert not mapped.unmapped


PRODUCTS = [name for name, make in PROGRAMS.items() if isinstance(make().block.first_op, MatMulOp)]


@pytest.mark.parametrize("name", PRODUCTS)
def test_what_the_copies_read_makes_up_the_operation(name: str) -> None:
    program, rng = PROGRAMS[name](), np.random.default_rng(1)
    (tile,) = tiles(program, read_library(), CODINGS["ternary"])
    assert isinstance(tile, Tile)
    arrays = [rng.choice(values(value), shape_of(value)) for value in tile.operation.operands]
    (want,) = evaluate(tile.operation, arrays)
    maps = maps_in(tile, arrays, 10**6)
    assert len(maps[0]) == tile.copies == want.size
    have = [evaluate(tile.part, list(one))[0].item() for one in zip(*maps, strict=True)]
    assert have == want.ravel().tolist()
    assert behaviour_of(tile, program) is None, "Yosys gets it gate by gate alone"


def values(value: SSAValue) -> Sequence[int]:
    kind = element_of(value)
    low, high = range_of(kind)
    return values_of(kind) if isinstance(kind, SetType) else range(low, high + 1)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (lambda: matmul((5,), (5, 3), TRIT, TRIT), "a product of maps of which one is a vector"),
        (lambda: requantize((0, 2**20), 1, 2**12, 0, 255, "round"), "a quotient of numbers from 0 to 1048576"),
        (lambda: requantize((0, 999), 1, 2, 0, 999, "round"), "a quotient with 501 results: expected 256 at most"),
    ],
)
def test_refused_with_the_reason(program: Callable[[], Program], reason: str) -> None:
    (found,) = tiles(program(), read_library(), CODINGS["ternary"])
    assert isinstance(found, Unmapped) and found.reason == reason


def test_thresholds_of_channels_are_a_tile_whatever_the_length() -> None:
    """Bounds have a row for each channel, which is no axis of pixels."""
    net = net_of(((1, 3, 1000), (-50, 50)))
    bounds = net.constant(np.arange(21, dtype=np.int64).reshape(3, 7) - 10)
    program = finish(net, ThresholdOp, net.inputs[0], bounds, axis=1, base=0, step=1)
    (tile,) = tiles(program, read_library(), CODINGS["ternary"])
    assert isinstance(tile, Tile) and tile.copies == 1000 and tile.netlist.gates < 500


@pytest.mark.parametrize(
    ("shape", "axis", "rows", "copies"),
    [((1, 3, 8, 8), 1, 1, 64), ((2, 3, 8), 1, 3, 16), ((1, 7, 5), 2, 5, 7), ((1, 7, 5), 2, 1, 5)],
)
def test_thresholds_are_cut_into_pixels(shape: tuple[int, ...], axis: int, rows: int, copies: int) -> None:
    """Bounds of all channels or of each, along any axis; those of all are cut along axis 1."""
    net = net_of((shape, (-50, 50)))
    bounds = net.constant(np.sort(np.random.default_rng(0).integers(-40, 40, (rows, 3))))
    program = finish(net, ThresholdOp, net.inputs[0], bounds, axis=axis, base=0, step=1)
    (tile,) = tiles(program, read_library(), CODINGS["ternary"])
    assert isinstance(tile, Tile) and tile.copies == copies
    array = np.random.default_rng(1).integers(-50, 51, shape)
    table = program.array(tile.operation.operands[1])
    assert table is not None
    (want,) = evaluate(tile.operation, [array, table])
    maps = maps_in(tile, [array], 10**6)
    have = [evaluate(tile.part, [one, table])[0] for one in maps[0]]
    kept = axis if rows > 1 else 1
    np.testing.assert_array_equal(np.stack(have).reshape(-1), np.moveaxis(want, kept, -1).reshape(-1))


def test_bounds_out_of_reach_cost_nothing() -> None:
    """Of three levels none can change: the result is a constant."""
    net = net_of(((1, 2, 4, 4), (-5, 5)))
    bounds = net.constant(np.array([[-9, -8, 30]] * 2))
    program = finish(net, ThresholdOp, net.inputs[0], bounds, axis=1, base=-1, step=1)
    for coding in CODINGS.values():
        library = read_library("nangate45-like" if coding.digits == BINARY else "cntfet32-static")
        (tile,) = tiles(program, library, coding)
        assert isinstance(tile, Tile) and not tile.netlist.gates


def test_constants_that_differ_between_samples() -> None:
    net = net_of(((2, 3, 2, 2), TRIT))
    added = net.constant(np.arange(6).reshape(2, 3, 1, 1))
    program = finish(net, AddOp, net.inputs[0], added)
    (tile,) = tiles(program, read_library(), CODINGS["ternary"])
    assert isinstance(tile, Tile) and tile.copies == 1
    digits = digits_for(tile, program, random_maps(tile, program, 64, np.random.default_rng(0)))
    np.testing.assert_array_equal(simulate(tile.netlist, {"x0": digits["x0"]})["y"], digits["y"])


def test_layers_without_products_have_no_arrays() -> None:
    for program in (matmul((3, 4), (4,), TRIT, TRIT), matmul((3, 4), (4, 2), TRIT, (0, 0))):
        assert array_costs(program, read_library(), CODINGS["ternary"], 4) == ()
