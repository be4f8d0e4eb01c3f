"""Dot products as netlists: the same numbers as numpy's, and as many gates as others count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tercet.backends.ternary_logic.functions import BALANCED, BINARY, UNBALANCED, Digits
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.mapping.dot import dot_product
from tercet.backends.ternary_logic.mapping.numbers import Terms, places, positional, sign, sign_pair
from tercet.backends.ternary_logic.netlist import Netlist
from tercet.backends.ternary_logic.simulate import every_vector, simulate

FORMS = {"balanced ternary": positional(BALANCED, -1, 1), "{neg, pos}": sign_pair(), "sign": sign()}
VALUES = {"balanced ternary": (-1, 0, 1), "{neg, pos}": (-1, 0, 1), "sign": (-1, 1)}
LIBRARIES = {"balanced ternary": "cntfet32-static", "{neg, pos}": "nangate45-like", "sign": "nangate45-like"}


def netlist_of(coding: str, terms: int, weights: NDArray[np.integer] | None = None, library: str = "") -> Netlist:
    """A netlist that gives numpy's results for random and extreme operands."""
    form, cells = FORMS[coding], read_library(library or LIBRARIES[coding])
    netlist, total = dot_product(cells, form, terms, weights)
    rng = np.random.default_rng(terms)
    a, b = rng.choice(VALUES[coding], (2, terms, 4096))
    for i, (first, second) in enumerate(((1, 1), (1, -1), (-1, -1))):
        a[:, i], b[:, i] = first, second
    signs = np.sign(weights) if weights is not None else b[:, 3]
    a[:, 3] = np.where(signs == 0, a[:, 3], signs)
    a[:, 4] = -a[:, 3]
    feeds = {"a": form.encode(a)} | ({"b": form.encode(b)} if weights is None else {})
    have = total.decode(simulate(netlist, feeds)["y"])
    np.testing.assert_array_equal(have, (a * (b if weights is None else weights[:, None])).sum(0))
    assert have.min() >= total.low and have.max() <= total.high
    return netlist


@pytest.mark.parametrize("coding", FORMS)
@pytest.mark.parametrize("terms", [*range(1, 15), 26, 27, 28, 100, 364])
def test_as_numpy(coding: str, terms: int) -> None:
    netlist_of(coding, terms)
    rng = np.random.default_rng(terms)
    netlist_of(coding, terms, rng.choice([-1, 1], terms))
    if 0 in VALUES[coding]:
        weights = rng.choice([-1, 0, 1], terms)
        weights[0] = 1
        netlist_of(coding, terms, weights)


WEIGHTS = np.repeat([1, -1, 0], [27, 26, 11])
"""Of 64, as in the published comparison."""


def test_the_published_ternary_counts() -> None:
    static, lee = netlist_of("balanced ternary", 64), netlist_of("balanced ternary", 64, library="lee2019")
    assert static.counts == lee.counts == {"FA": 57, "HA": 5, "MUL": 64}
    assert (static.transistors, lee.transistors) == (9096, 8202)


@pytest.mark.parametrize(
    ("coding", "weights", "gates", "transistors", "area"),
    [("{neg, pos}", None, 321, 4636, 736), ("{neg, pos}", WEIGHTS, 163, 2952, 463), ("sign", None, 129, 2344, 363)],
)
def test_the_published_binary_counts(
    coding: str, weights: NDArray[np.integer] | None, gates: int, transistors: int, area: int
) -> None:
    """Of explicit trees of adders, in a synthesis with the Nangate cells. With fixed weights that has four more gates:
    it writes the offset as others do, this takes it into the last adder of a place."""
    netlist = netlist_of(coding, 64, weights)
    assert netlist.transistors == pytest.approx(transistors, rel=0.01) and netlist.area == pytest.approx(area, rel=0.01)
    assert netlist.gates == gates - (4 if weights is not None else 0)


def test_where_ternary_begins_to_win() -> None:
    """The full adder's transistors up to which the ternary circuit is the smaller one: 48, and 57 for fixed weights."""
    for weights, edge in ((None, 48), (WEIGHTS, 57)):
        ternary, binary = netlist_of("balanced ternary", 64, weights), netlist_of("{neg, pos}", 64, weights)
        adders = ternary.counts["FA"]
        others = ternary.transistors - adders * ternary.library.cells["FA"].all_transistors
        assert round((binary.transistors - others) / adders) == edge


@given(st.sampled_from((BINARY, BALANCED, UNBALANCED)), st.integers(-1000, 1000), st.integers(0, 1000))
def test_places_are_enough_and_not_too_many(digits: Digits, low: int, span: int) -> None:
    low = max(low, 0) if digits == UNBALANCED else low
    high = low + span
    count = places(digits, low, high)

    def reached(count: int) -> set[int]:
        weights = [digits.radix**place for place in range(count)]
        if digits == BINARY and low < 0 and weights:
            weights[-1] *= -1
        return set((np.array(weights, np.int64) @ every_vector(digits, count)).tolist()) if count else {0}

    numbers = set(range(low, high + 1)) if span < 50 else {low, high}
    if digits.radix**count <= 3**7:
        assert numbers <= reached(count) and (count == 0 or not numbers <= reached(count - 1))


def test_sums_of_nothing_and_wrong_cells() -> None:
    with pytest.raises(ValueError, match="nothing to add"):
        Terms.join([])
    with pytest.raises(ValueError, match="sign needs binary cells, lee2019 has balanced ternary"):
        dot_product(read_library("lee2019"), FORMS["sign"], 4)


@pytest.mark.parametrize("missing", [("FA",), ("FA", "HA"), ("FA", "HA", "MUL", "SUM", "CARRY", "ANY")], ids=str)
@pytest.mark.parametrize("coding", FORMS)
def test_cells_that_are_missing_are_made_of_others(missing: tuple[str, ...], coding: str, tmp_path: Path) -> None:
    base = LIBRARIES[coding]
    drops = [name for name in missing if name in read_library(base).cells]
    (tmp_path / "few.toml").write_text(f'''
        name = "few"
        title = "Few"
        digits = "{read_library(base).digits.name}"
        technology = "as {base}"
        inverters = "included"
        extends = "{base}"
        drops = {drops}
        sources.none = {{citation = "none", verified = false}}
        [cells.BUF]
        outputs = {{y = "{"-0+" if coding == "balanced ternary" else "01"}"}}
        transistors = 4
        source = "none"
    ''')  # fmt: skip
    netlist = netlist_of(coding, 10, library=str(tmp_path / "few.toml"))
    assert not set(netlist.counts) & set(missing)
