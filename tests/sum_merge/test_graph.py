"""The graph: evaluation, the symbolic proof, transposition, text, refusal of broken graphs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.ir.errors import InputError
from tercet.passes.sum_merge import SumGraph
from tercet.passes.sum_merge.sums import Sums, transpose

from .matrices import fill, matrices, merge_sums


def small() -> SumGraph:
    return merge_sums(np.array([[1, 1, 0], [-1, -1, 1], [0, 0, 0], [0, -1, 0]]))


def test_a_small_graph_reads_as_expected() -> None:
    assert small().to_text().splitlines() == [
        "t0 = x0 + x1",
        "t1 = x2 - t0",
        "y0 = t0",
        "y1 = t1",
        "y2 = 0",
        "y3 = -x1",
    ]
    assert (small().adds, small().depth) == (2, 2)


@given(matrices(), st.integers(1, 5))
def test_evaluate_is_the_matrix_product(matrix: np.ndarray, width: int) -> None:
    graph = merge_sums(matrix, trials=10)
    x = np.random.default_rng(0).integers(-99, 99, (matrix.shape[1], width))
    assert np.array_equal(graph.evaluate(x), matrix.astype(int) @ x)
    assert np.array_equal(graph.evaluate(x[:, 0].astype(np.float32)), matrix @ x[:, 0].astype(np.float32))


@given(matrices())
def test_the_transpose_costs_what_the_theorem_says(matrix: np.ndarray) -> None:
    graph = merge_sums(matrix, trials=10)
    other = transpose(graph)
    assert np.array_equal(other.to_matrix(), matrix.T)
    rows, columns = int(matrix.any(axis=1).sum()), int(matrix.any(axis=0).sum())
    assert other.adds == graph.adds + rows - columns


@given(matrices())
def test_array_and_back(matrix: np.ndarray) -> None:
    graph = merge_sums(matrix, trials=0)
    again = SumGraph.from_array(graph.to_array())
    assert again.to_text() == graph.to_text()


def doubling(times: int) -> SumGraph:
    own = np.arange(times, dtype=np.int32)
    return SumGraph(1, own, own, np.zeros(times, bool), np.array([times], np.int32), np.array([True]))


def test_the_proof_sees_large_coefficients() -> None:
    assert doubling(40).to_matrix().tolist() == [[-(1 << 40)]]
    with pytest.raises(InputError, match="beyond 64 bits"):
        doubling(64).to_matrix()


def test_the_proof_covers_wide_layers_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tercet.ir.sum_graph.CHUNK", 64)
    matrix = fill(5, 70, 0.5, 0)
    assert np.array_equal(merge_sums(matrix, trials=0).to_matrix(), matrix)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("left", [9, 0], "earlier nodes"),
        ("right", [0, -1], "earlier nodes"),
        ("outputs", [0, 1, 7, 1], "not one of its values"),
        ("negate", [0], "one sign per output"),
        ("subtract", [0], "one left, right and subtract"),
    ],
)
def test_broken_graphs_are_refused(name: str, value: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(small(), **{name: np.array(value, dtype=getattr(small(), name).dtype)})


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.int32),
        np.array([1.0, 0.0]),
        np.array([3], np.int32),
        np.array([-1, 0], np.int32),
        np.array([3, 4, 0, 0], np.int32),
        np.array([3, 0, 0], np.int32),
        np.array([3, 0, 1, 0], np.int32),
        np.array([3, 1, -2], np.int32),
        np.array([3, 0, 0, 99], np.int32),
    ],
)
def test_arrays_that_are_no_graph_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match="sum graph"):
        SumGraph.from_array(array)


@given(matrices(), st.integers(-9, 0), st.integers(0, 9))
def test_ranges_are_those_of_the_linear_forms(matrix: np.ndarray, lo: int, hi: int) -> None:
    graph = merge_sums(matrix, trials=5)
    least, most = graph.ranges(lo, hi)
    values = graph.inputs + np.arange(graph.adds)
    forms = replace(graph, outputs=values.astype(np.int32), negate=np.zeros(graph.adds, bool)).to_matrix()
    plus, minus = np.maximum(forms, 0).sum(axis=1), np.maximum(-forms, 0).sum(axis=1)
    assert np.array_equal(least[values], plus * lo - minus * hi)
    assert np.array_equal(most[values], plus * hi - minus * lo)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match="takes 3 inputs"):
        small().evaluate(np.zeros(4))


@given(matrices(), st.integers(0, 3))
def test_depth_is_bounded_at_the_price_of_sharing(matrix: np.ndarray, spare: int) -> None:
    longest = int(np.count_nonzero(matrix, axis=1).max())
    bound = max(longest - 1, 0).bit_length() + spare
    graph = merge_sums(matrix, trials=20, max_depth=bound)
    assert graph.depth <= bound
    assert np.array_equal(graph.to_matrix(), matrix)


def test_a_depth_that_no_graph_has_is_refused() -> None:
    with pytest.raises(InputError, match="too many for depth 2"):
        Sums.of_matrix(np.ones((2, 5), np.int8)).limit_depth(2)
