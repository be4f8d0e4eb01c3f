"""Sums with fixed weights and comparisons with constants, of numbers of any range, against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.backends.ternary_logic.functions import BALANCED, BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.mapping.adders import add_up
from tercet.backends.ternary_logic.mapping.numbers import Form, Number, positional, sign, sign_pair, weighted
from tercet.backends.ternary_logic.mapping.thresholds import at_least
from tercet.backends.ternary_logic.netlist import Builder
from tercet.backends.ternary_logic.simulate import simulate

LIBRARIES = {BALANCED: "cntfet32-static", BINARY: "nangate45-like"}


@st.composite
def forms(draw: st.DrawFn) -> Form:
    digits = draw(st.sampled_from(list(LIBRARIES)))
    if digits == BINARY and draw(st.booleans()):
        return draw(st.sampled_from([sign_pair(), sign()]))
    low = draw(st.integers(-130, 130))
    return positional(digits, low, low + draw(st.sampled_from([0, 1, 2, 7, 15, 255])))


def numbers_of(form: Form, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random ones; the first two vectors are all of the lowest and all of the highest."""
    values = np.array([-1, 1]) if form == sign() else np.arange(form.low, form.high + 1)
    found = rng.choice(values, (*shape, 64))
    found[..., 0], found[..., 1] = values[0], values[-1]
    return found


@given(forms(), st.integers(1, 12), st.sampled_from([1, 2, 3, 13, 127]), st.integers(0, 2**32 - 1))
def test_weighted_sums(form: Form, terms: int, largest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-largest, largest + 1, terms)
    builder = Builder(read_library(LIBRARIES[form.digits]))
    x = builder.input("x", form.wires, terms, 2)
    sums = weighted(builder, Number(x, form), weights)
    total = add_up(builder, sums)
    builder.output("y", total.nets)
    netlist = builder.finish()
    numbers = numbers_of(form, (terms, 2), rng)
    have = total.form.decode(simulate(netlist, {"x": form.encode(numbers)})["y"])
    np.testing.assert_array_equal(have, np.tensordot(weights, numbers, 1))
    assert total.form.low <= have.min() and have.max() <= total.form.high
    assert netlist.outputs["y"].shape == (total.form.wires, 2)


@given(
    st.sampled_from(list(LIBRARIES)), st.integers(-40, 40), st.integers(0, 90), st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_comparisons(digits: object, low: int, span: int, channels: int, seed: int) -> None:
    assert digits in (BALANCED, BINARY)
    form, rng = positional(BALANCED if digits == BALANCED else BINARY, low, low + span), np.random.default_rng(seed)
    bounds = rng.integers(low - 3, low + span + 4, channels)
    builder = Builder(read_library(LIBRARIES[form.digits]))
    x = builder.input("x", form.wires, channels, 2)
    builder.output("y", at_least(builder, Number(x, form), bounds))
    netlist = builder.finish()
    every = np.broadcast_to(np.arange(low, low + span + 1), (channels, 2, span + 1))
    have = simulate(netlist, {"x": form.encode(every)})["y"]
    np.testing.assert_array_equal(have, every >= bounds[:, None, None])
    reached = (bounds <= low) | (bounds > low + span)
    assert not reached.all() or netlist.gates == 0
    assert netlist.depth <= 8 * max(form.wires, 1)


def test_a_binary_comparison_is_a_gate_a_bit() -> None:
    builder = Builder(read_library("nangate45-like"))
    form = positional(BINARY, 0, 255)
    x = builder.input("x", form.wires, 1)
    builder.output("y", at_least(builder, Number(x, form), np.array([0b10110101])))
    assert builder.finish().counts == {"AND2": 4, "OR2": 3}, "the lowest bit is the answer of its own place"


def test_forms_that_do_not_fit() -> None:
    form = positional(BALANCED, -4, 4)
    with pytest.raises(ValueError, match="expected numbers from -4 to 4"):
        form.encode(np.array([5]))
    with pytest.raises(ValueError, match="sign has no form for some of these numbers"):
        sign().encode(np.array([0]))
    builder = Builder(read_library("nangate45-like"))
    with pytest.raises(ValueError, match=r"\{neg, pos\} cannot be compared: expected digits of places"):
        at_least(builder, Number(builder.input("x", 2, 1), sign_pair()), np.array([1]))
