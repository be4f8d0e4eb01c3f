"""How often wires change, against counting digit by digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tercet
from tercet.api import opt
from tercet.backends.ternary_logic.activity import activity
from tercet.backends.ternary_logic.functions import BALANCED, BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.pipeline import gate_passes
from tercet.backends.ternary_logic.lowering.tiles import Tile, tiles
from tercet.backends.ternary_logic.lowering.vectors import encoded, map_values, traced
from tercet.backends.ternary_logic.mapping.dot import dot_product
from tercet.backends.ternary_logic.mapping.numbers import Form, positional, sign_pair
from tercet.backends.ternary_logic.netlist import Netlist
from tercet.backends.ternary_logic.simulate import simulate
from tercet.ir.errors import InputError

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"
CASES = [("cntfet32-static", positional(BALANCED, -1, 1)), ("nangate45-like", sign_pair())]
CASES += [("nangate45-like", positional(BINARY, 0, 3))]


def netlist_of(library: str, form: Form, terms: int = 9) -> Netlist:
    return dot_product(read_library(library), form, terms, np.tile([1, -1, 1], terms // 3))[0]


@pytest.mark.parametrize(("library", "form"), CASES, ids=["ternary", "pairs", "bits"])
@pytest.mark.parametrize("vectors", [2, 63, 64, 65, 200])
def test_as_counted_digit_by_digit(library: str, form: Form, vectors: int) -> None:
    netlist = netlist_of(library, form)
    a = form.encode(np.random.default_rng(vectors).integers(form.low, form.high + 1, (9, vectors)))
    found = activity(netlist, {"a": a})
    names = [block.cell.name for block in netlist.blocks for _ in range(block.outputs.size)]
    wires = np.concatenate([block.outputs.ravel() for block in netlist.blocks])
    seen = simulate(Netlist(netlist.library, netlist.wires, netlist.blocks, netlist.inputs, {"all": wires}), {"a": a})
    changes = (seen["all"][:, 1:] != seen["all"][:, :-1]).sum(axis=1)
    for name in netlist.counts:
        at = np.array(names) == name
        assert (found.changes[name], found.wires[name]) == (changes[at].sum(), at.sum())
    assert found.steps == vectors - 1 and found.per_step == changes.sum() / (vectors - 1)
    assert found.factor == pytest.approx(changes.mean() / (vectors - 1))


def test_the_changes_of_a_network() -> None:
    """Those of one image after the other; the last layer has one pixel, so that all of it is followed."""
    images = np.load(DIGITS.with_name("digits_test.npz"))["image"][:5]
    (cost,) = tercet.cost(DIGITS, libraries=["cntfet32-static"], inputs={"image": images}).costs
    assert cost.changes is not None and 0 < cost.changes < cost.gates
    assert cost.changes == sum(one.changes or 0 for one in cost.operations)
    program, library, code = opt(DIGITS, ",".join(map(str, gate_passes()))), cost.library, CODINGS["ternary"]
    mapped = [tile for tile in tiles(program, library, code) if isinstance(tile, Tile) and tile.netlist.gates]
    assert len(mapped) == len(cost.operations) and any(tile.copies == 1 for tile in mapped)
    for one, found in zip(mapped, cost.operations, strict=True):
        if one.copies > 1:
            continue
        read = [np.stack([values[v] for values in traced(program, [{"image": image[None]} for image in images])])
                for v in map_values(one.operation)]  # fmt: skip
        digits = {f"x{i}": encoded(form, x) for i, (form, x) in enumerate(zip(one.inputs, read, strict=True))}
        assert found.changes == activity(one.netlist, digits).per_step
    with pytest.raises(InputError, match="inputs: expected two samples or more"):
        tercet.cost(DIGITS, libraries=["cntfet32-static"], inputs={"image": images[:1]})


def test_what_stays_takes_nothing() -> None:
    library, form = CASES[0]
    same = form.encode(np.ones((9, 130), np.int64))
    assert activity(netlist_of(library, form), {"a": same}).factor == 0
    with pytest.raises(ValueError, match="two vectors or more, got 1"):
        activity(netlist_of(library, form), {"a": same[..., :1]})
