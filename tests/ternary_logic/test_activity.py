"""How often wires change, against counting digit by digit."""

from __future__ import annotations

import numpy as np
import pytest

from tercet.backends.ternary_logic.activity import activity
from tercet.backends.ternary_logic.functions import BALANCED, BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.mapping.dot import dot_product
from tercet.backends.ternary_logic.mapping.numbers import Form, positional, sign_pair
from tercet.backends.ternary_logic.netlist import Netlist
from tercet.backends.ternary_logic.simulate import simulate

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


def test_what_stays_takes_nothing() -> None:
    library, form = CASES[0]
    same = form.encode(np.ones((9, 130), np.int64))
    assert activity(netlist_of(library, form), {"a": same}).factor == 0
    with pytest.raises(ValueError, match="two vectors or more, got 1"):
        activity(netlist_of(library, form), {"a": same[..., :1]})
