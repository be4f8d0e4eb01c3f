"""Functions without a cell of their own: all of one and two inputs, some of three."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.backends.ternary_logic.functions import BALANCED, Function, adder, negation, unary_functions
from tercet.backends.ternary_logic.library import read_library, shipped
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.netlist import Builder
from tercet.backends.ternary_logic.simulate import every_vector, simulate
from tercet.backends.ternary_logic.synthesis import Argument, Call, Synthesis, gates, synthesis_of, transistors
from tercet.ir.errors import InputError

from .helpers import FILES, model_of

TERNARY = [name for name in shipped() if read_library(name).digits == BALANCED]

NIGHTLY = ("srinivasu2017", "vudadha2018")
"""Libraries with the cells of `lee2019`, of other sizes."""


def assert_as_tables(library: str, functions: list[Function]) -> None:
    """All of them in one netlist, on every input."""
    builder = Builder(read_library(library))
    pins = [builder.input(pin) for pin in "abcd"[: functions[0].inputs]]
    builder.output("y", np.stack([gates(builder, function, *pins) for function in functions]))
    vectors = every_vector(builder.library.digits, len(pins))
    have = simulate(builder.finish(), dict(zip("abcd", vectors, strict=False)))["y"]
    np.testing.assert_array_equal(have, [function.of(*vectors) for function in functions])


@pytest.mark.parametrize("library", shipped())
def test_all_functions_of_one_input(library: str) -> None:
    functions = list(unary_functions(read_library(library).digits))
    assert_as_tables(library, functions)
    synthesis = synthesis_of(read_library(library))
    free = [function for function in functions if transistors(synthesis(function)) == 0]
    assert len(free) == read_library(library).digits.radix + 1, "the constants, and the wire itself"


@pytest.mark.check
@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=[pytest.mark.nightly] if name in NIGHTLY else []) for name in TERNARY]
)
def test_all_functions_of_two_inputs(library: str) -> None:
    assert_as_tables(library, [Function(BALANCED, 2, table) for table in product(BALANCED.values, repeat=9)])


def test_all_binary_functions_of_up_to_three_inputs() -> None:
    library = read_library("nangate45-like")
    for inputs in (2, 3):
        tables = product(library.digits.values, repeat=2**inputs)
        assert_as_tables(library.name, [Function(library.digits, inputs, table) for table in tables])


@given(st.sampled_from(TERNARY), st.integers(0, 2**32 - 1), st.integers(2, 3))
def test_some_functions(library: str, seed: int, inputs: int) -> None:
    tables = np.random.default_rng(seed).integers(-1, 2, (3, 3**inputs)).tolist()
    assert_as_tables(library, [Function(BALANCED, inputs, tuple(table)) for table in tables])


@pytest.mark.check
@pytest.mark.parametrize("library", shipped())
def test_all_functions_that_networks_need(library: str, request: pytest.FixtureRequest) -> None:
    """Whatever was synthesised for the demo, cnv_w2a2 and the keyword-spotting network, three inputs and more too."""
    found = read_library(library)
    for model in FILES:
        for coding in CODINGS.values():
            if coding.digits == found.digits:
                assert any(isinstance(tile, Tile) for tile in tiles(model_of(model, request), found, coding))
    known = list(synthesis_of(found).known)
    assert {function.inputs for function in known} >= {1, 2, 3}
    for inputs in {function.inputs for function in known}:
        assert_as_tables(library, [function for function in known if function.inputs == inputs])


def test_a_cell_of_its_own_comes_first() -> None:
    library = read_library("cntfet32-static")
    synthesis = synthesis_of(library)
    for name in ("STI", "NTI", "PTI", "TNAND", "TNOR", "SUM", "CARRY", "MUL"):
        cell = library.cells[name]
        assert synthesis(cell.functions[0]) == Call(cell, 0, tuple(Argument(i) for i in range(cell.inputs)))


def test_what_cells_cannot_make() -> None:
    library = read_library("nangate45-like")
    few = {name: cell for name, cell in library.cells.items() if name in ("AND2", "OR2")}
    synthesis = Synthesis(type(library)(library.name, "", library.digits, "", "included", None, few))
    with pytest.raises(InputError, match="the cells of nangate45-like cannot make 10"):
        synthesis(negation(library.digits))
    with pytest.raises(InputError, match="cannot make 01 10"):
        synthesis(adder(library.digits, 2)[0])
