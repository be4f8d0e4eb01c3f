"""Arrays of multipliers: every pair of forms against numpy, and the layers of a network step by step."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tercet.api import opt
from tercet.backends.ternary_logic.arrays import Array, array_costs, mac_array
from tercet.backends.ternary_logic.functions import BALANCED, BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.coding import CODINGS
from tercet.backends.ternary_logic.lowering.pipeline import gate_passes
from tercet.backends.ternary_logic.mapping.numbers import Form, positional, sign, sign_pair
from tercet.backends.ternary_logic.mapping.products import product_range
from tercet.backends.ternary_logic.simulate import simulate

LIBRARIES = {BALANCED: "cntfet32-static", BINARY: "nangate45-like"}
TRITS = [positional(BALANCED, *bounds) for bounds in ((-1, 1), (-4, 4), (0, 3), (-128, 127))]
BITS = [sign_pair(), *(positional(BINARY, *bounds) for bounds in ((0, 1), (-1, 1), (0, 3), (-8, 7), (0, 255)))]
PAIRS = [*product(TRITS, TRITS), *product(BITS, BITS), (sign(), sign())]
DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


def numbers(form: Form, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random ones that have the form; all lowest and all highest in the first two columns."""
    values = np.array([value for value in range(form.low, form.high + 1) if form.holds(value)])
    found = rng.choice(values, shape)
    found[..., 0], found[..., 1] = form.low, form.high
    return found


def step(array: Array, a: np.ndarray, w: np.ndarray, before: np.ndarray) -> np.ndarray:
    """a, w: [lanes, vectors]; before: [vectors]."""
    feeds = {"a": array.inputs.encode(a), "w": array.weights.encode(w), "sum": array.sums.encode(before[None])}
    return array.sums.decode(simulate(array.netlist, feeds)["y"])[0]


@pytest.mark.parametrize(("inputs", "weights"), PAIRS, ids=[f"{a.low}..{a.high} {b.low}..{b.high} {a.name} {b.name}"
                                                            for a, b in PAIRS])  # fmt: skip
@pytest.mark.parametrize("lanes", [1, 5])
def test_a_step_as_numpy(inputs: Form, weights: Form, lanes: int) -> None:
    low, high = product_range(inputs, weights)
    sums = positional(inputs.digits, min(2 * lanes * low, -1), max(2 * lanes * high, 1))
    array = mac_array(read_library(LIBRARIES[inputs.digits]), inputs, weights, sums, lanes)
    rng = np.random.default_rng(lanes)
    a, w = numbers(inputs, (lanes, 4096), rng), numbers(weights, (lanes, 4096), rng)
    w[:, 2], w[:, 3] = weights.high, weights.low
    a[:, 2], a[:, 3] = inputs.low, inputs.high
    before = rng.integers(lanes * low, lanes * high + 1, 4096)
    before[0], before[1] = lanes * low, lanes * high
    np.testing.assert_array_equal(step(array, a, w, before), before + (a * w).sum(0))
    assert array.registers == lanes * (inputs.wires + weights.wires) + sums.wires


def test_signs_go_with_signs_alone() -> None:
    with pytest.raises(ValueError, match="products of sign and binary places are not known"):
        mac_array(read_library("nangate45-like"), sign(), positional(BINARY, 0, 3), positional(BINARY, -9, 9), 2)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_network_step_by_step(coding: str) -> None:
    """Each pair of forms has an array, all operations are on one, and a sum in steps is the sum."""
    code = CODINGS[coding]
    program, library = opt(DIGITS, ",".join(map(str, gate_passes()))), read_library(LIBRARIES[code.digits])
    costs = array_costs(program, library, code, 16)
    assert [[(one.outputs, one.terms, one.count) for one in cost.operations] for cost in costs] == STEPS
    cost, rng = costs[-1], np.random.default_rng(0)
    assert cost.steps == sum(steps for *_, steps in STEPS[-1])
    products = sum(one.outputs * one.terms for one in cost.operations)
    assert cost.reads == products * (cost.array.inputs.wires + cost.array.weights.wires) <= 16 * cost.steps * 4
    terms = STEPS[-1][0][1]
    a, w = numbers(cost.array.inputs, (terms, 512), rng), numbers(cost.array.weights, (terms, 512), rng)
    total = np.zeros(512, np.int64)
    for first in range(0, terms, 16):
        a_step, w_step = (np.zeros((16, 512), np.int64) for _ in range(2))
        for to, of in ((a_step, a), (w_step, w)):
            to[: len(of[first : first + 16])] = of[first : first + 16]
        total = step(cost.array, a_step, w_step, total)
    np.testing.assert_array_equal(total, (a * w).sum(0))


STEPS = [[(2048, 9, 2048)], [(4096, 288, 73728), (1024, 576, 36864), (128, 256, 2048), (10, 128, 80)]]
"""Of the arrays of the demo: outputs, terms of each, steps of 16."""
