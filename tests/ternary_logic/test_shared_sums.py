"""Sums that outputs share: the same numbers in fewer gates, in every coding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tercet
from tercet.backends.c.sum_search import NativeSearch
from tercet.backends.ternary_logic.functions import BALANCED, BINARY
from tercet.backends.ternary_logic.library import read_library
from tercet.backends.ternary_logic.lowering.shared import shared_sums
from tercet.backends.ternary_logic.mapping.adders import add_up
from tercet.backends.ternary_logic.mapping.numbers import Form, Number, positional, sign_pair, weighted
from tercet.backends.ternary_logic.netlist import Builder, Netlist
from tercet.backends.ternary_logic.simulate import simulate
from tercet.ir.sum_graph import SumGraph
from tercet.passes.sum_merge import merge_sums

FORMS = {
    "trit": positional(BALANCED, -1, 1), "two trits": positional(BALANCED, -2, 3), "{neg, pos}": sign_pair(),
    "bit": positional(BINARY, 0, 1), "two bits": positional(BINARY, 0, 3), "signed": positional(BINARY, -4, 3),
}  # fmt: skip
DIGITS = str(Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx")


def graph_of(matrix: np.ndarray) -> SumGraph:
    return merge_sums(matrix, trials=50, search=NativeSearch)


def built(matrix: np.ndarray, form: Form, *, shared: bool) -> tuple[Netlist, list[Form]]:
    """All rows' sums as a netlist with outputs y0, y1, .. of these forms."""
    builder = Builder(read_library("nangate45-like" if form.digits == BINARY else "cntfet32-static"))
    taps = Number(builder.input("x", form.wires, matrix.shape[1]), form)
    graph = graph_of(matrix)
    rows = shared_sums(builder, graph, taps) if shared else [weighted(builder, taps, row) for row in matrix]
    numbers = [add_up(builder, row) for row in rows]
    for i, number in enumerate(numbers):
        builder.output(f"y{i}", number.nets)
    return builder.finish(), [number.form for number in numbers]


def assert_computes(matrix: np.ndarray, form: Form) -> None:
    netlist, forms = built(matrix, form, shared=True)
    rng = np.random.default_rng(len(matrix))
    x = rng.integers(form.low, form.high + 1, (matrix.shape[1], 256))
    x[:, 0], x[:, 1] = form.low, form.high
    x[:, 2] = np.where(matrix[0] > 0, form.high, form.low)
    have = simulate(netlist, {"x": form.encode(x)})
    for i, (row, found) in enumerate(zip(matrix, forms, strict=True)):
        np.testing.assert_array_equal(found.decode(have[f"y{i}"]), row @ x)


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize(("outputs", "inputs", "density"), [(1, 1, 1.0), (1, 9, 1.0), (4, 27, 0.3), (16, 40, 0.7)])
def test_as_numpy(form: Form, outputs: int, inputs: int, density: float) -> None:
    rng = np.random.default_rng(inputs)
    assert_computes(rng.choice([-1, 0, 1], (outputs, inputs), p=[density / 2, 1 - density, density / 2]), form)


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_rows_of_zeros_equal_and_opposite_rows(form: Form) -> None:
    row = np.array([1, -1, 0, 1, 1, -1, 1])
    single = np.array([0, 0, 0, 0, 0, 0, -1])
    assert_computes(np.stack([row, 0 * row, row, -row, single, -single]), form)


def test_what_becomes_a_number() -> None:
    """Four trits make two, so that each row adds a trit to two. Two trits make two, which saves nothing: they join the
    trees of the rows."""
    four, two = np.array([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 1, 0], [1, 1, 1, 1, 0, 0, 1]]), np.eye(3, 7, dtype=int)
    two[:, 3:5] = 1
    counts = [[built(rows, FORMS["trit"], shared=each)[0].counts for each in (False, True)] for rows in (four, two)]
    assert counts == [[{"FA": 6, "HA": 3}, {"FA": 1, "HA": 8}], [{"FA": 3}, {"FA": 3}]]


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_random_layers_become_smaller(form: Form) -> None:
    matrix = np.random.default_rng(0).choice([-1, 0, 1], (32, 72))
    alone, shared = (built(matrix, form, shared=each)[0].transistors for each in (False, True))
    assert shared < 0.9 * alone


def test_fully_connected_layers_share_sums() -> None:
    shared = next(cost for cost in tercet.cost(DIGITS).costs if not cost.binary)
    (fc1, fc2) = (one for one in shared.operations if one.name == "matmul")
    assert fc1.nodes == ("Gemm:fc1",) and fc1.saved > 0.3 * (fc1.transistors + fc1.saved) and fc2.saved > 0


def test_the_cost_of_a_network_with_and_without() -> None:
    shared, alone = (tercet.cost(DIGITS, shared=each) for each in (True, False))
    for one, other in zip(shared.costs, alone.costs, strict=True):
        assert other.saved == 0 and one.saved > 0.3 * other.transistors
        assert one.transistors + one.saved == other.transistors
    assert any("shared sums save" in line for line in shared.summary())
    assert not any("shared sums" in line for line in alone.summary())
