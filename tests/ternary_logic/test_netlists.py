"""Netlists of random gates, against the tables of their cells one gate after the other; and what they count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.backends.ternary_logic.library import read_library, shipped
from tercet.backends.ternary_logic.netlist import Builder, Netlist
from tercet.backends.ternary_logic.simulate import simulate


def random_netlist(library: str, blocks: int, rng: np.random.Generator) -> Netlist:
    """Every wire is an output."""
    builder = Builder(read_library(library))
    builder.input("x", 3)
    builder.input("z", 2, 1)
    cells = list(builder.library.cells.values())
    for _ in range(blocks):
        cell, count = cells[rng.integers(len(cells))], int(rng.integers(1, 5))
        builder.gate(cell, *rng.integers(0, builder.wires, (cell.inputs, count)).astype(np.int32))
    builder.output("y", np.arange(builder.wires, dtype=np.int32))
    return builder.finish()


@given(st.sampled_from(shipped()), st.integers(0, 30), st.integers(1, 150), st.integers(0, 2**32 - 1))
def test_gate_by_gate(library: str, blocks: int, vectors: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    netlist = random_netlist(library, blocks, rng)
    digits = netlist.library.digits
    feeds = {name: rng.choice(digits.values, (*nets.shape, vectors)) for name, nets in netlist.inputs.items()}
    have = simulate(netlist, feeds)["y"]
    want = np.empty((netlist.wires, vectors), np.int8)
    want[: digits.radix] = np.array(digits.values)[:, None]
    for name, nets in netlist.inputs.items():
        want[nets] = feeds[name]
    levels = np.zeros(netlist.wires, int)
    for block in netlist.blocks:
        for inputs, outputs in zip(block.inputs.T, block.outputs.T, strict=True):
            for function, wire in zip(block.cell.functions, outputs, strict=True):
                want[wire] = function.of(*want[inputs])
                levels[wire] = levels[inputs].max() + 1
    np.testing.assert_array_equal(have, want)
    np.testing.assert_array_equal(netlist.levels, levels)
    assert netlist.depth == levels.max()
    gates = [block.cell for block in netlist.blocks for _ in block.inputs.T]
    assert netlist.gates == len(gates) == sum(netlist.counts.values())
    assert netlist.transistors == sum(cell.transistors + cell.inverters for cell in gates)
    areas = [cell.area for cell in gates]
    assert netlist.area == (None if None in areas else pytest.approx(sum(area for area in areas if area)))


def test_inputs_that_do_not_fit() -> None:
    netlist = random_netlist("cntfet32-static", 3, np.random.default_rng(0))
    x, z = np.zeros((3, 5), np.int8), np.zeros((2, 1, 5), np.int8)
    for feeds, message in (
        ({"x": x}, "expected inputs x, z, got x"),
        ({"x": x, "z": z[:1]}, r"z: expected \[2, 1, 'vectors'\], got \[1, 1, 5\]"),
        ({"x": x, "z": z[..., :4]}, "vectors"),
        ({"x": x + 2, "z": z}, r"x: expected digits -0\+ alone"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(netlist, feeds)


def test_pins_that_are_not_there() -> None:
    builder = Builder(read_library("lee2019"))
    with pytest.raises(ValueError, match="MUL has 2 inputs, got 1"):
        builder.gate(builder.library.cells["MUL"], builder.input("x"))
