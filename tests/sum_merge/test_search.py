"""The search: exact on any ternary matrix, never worse than no sharing, the same with and without a compiler."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercet.backends.c.sum_search import NativeSearch, compiled_search
from tercet.ir.errors import InputError, ToolchainError
from tercet.passes.sum_merge import sign_planes

from .matrices import fill, matrices, merge_sums, plain_adds, random_weights
from .search_python import PythonSearch


@given(matrices(), st.integers(0, 2**64 - 1))
def test_exact_and_never_worse_than_no_sharing(matrix: np.ndarray, seed: int) -> None:
    graph = merge_sums(matrix, trials=60, seed=seed)
    assert np.array_equal(graph.to_matrix(), matrix)
    assert graph.adds <= plain_adds(matrix)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (1, 40), (40, 1)])
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_shapes_without_anything_to_share(shape: tuple[int, int], value: int) -> None:
    matrix = np.full(shape, value, np.int8)
    graph = merge_sums(matrix)
    assert np.array_equal(graph.to_matrix(), matrix)
    assert graph.adds == (plain_adds(matrix) if shape[1] else 0)


def test_equal_and_opposite_rows_are_added_once() -> None:
    row = fill(1, 30, 0.6, 0)
    matrix = np.concatenate([row, -row, row, np.zeros_like(row)])
    assert merge_sums(matrix).adds == np.count_nonzero(row) - 1


def test_the_butterfly_of_a_hadamard_matrix_is_found() -> None:
    matrix = np.array([[1]])
    for _ in range(4):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    assert merge_sums(matrix).adds == 16 * 4


@settings(max_examples=settings().max_examples // 4)
@given(matrices(), st.integers(0, 2**64 - 1))
def test_python_and_c_find_the_same_graph(matrix: np.ndarray, seed: int) -> None:
    native = merge_sums(matrix, trials=40, seed=seed)
    assert merge_sums(matrix, trials=40, seed=seed, search=PythonSearch).to_text() == native.to_text()


def test_without_a_compiler_nothing_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ToolchainError("no C compiler found")

    assert compiled_search() is NativeSearch
    monkeypatch.setattr("tercet.backends.c.sum_search.search.library", missing)
    assert compiled_search() is None


def test_a_folder_that_cannot_be_written_is_no_obstacle() -> None:
    code = (
        "import numpy as np\nfrom tercet.backends.c.sum_search import NativeSearch\n"
        "NativeSearch(np.ones((2, 2), np.int8), 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"XDG_CACHE_HOME": "/proc/none"})


def test_a_time_budget_is_kept() -> None:
    begin = time.process_time()
    merge_sums(random_weights("ternary", 32, 288), seconds=0.5)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("weights", [np.ones(3), np.full((2, 2), 2), np.full((2, 2), 0.5), np.full((2, 2), np.nan)])
def test_other_weights_are_refused(weights: np.ndarray) -> None:
    with pytest.raises(InputError, match="-1, 0 and 1"):
        merge_sums(weights)


@given(matrices())
def test_two_scales_a_filter_keep_their_sums(matrix: np.ndarray) -> None:
    x, outputs = np.arange(matrix.shape[1]) ** 2, matrix.shape[0]
    y = merge_sums(sign_planes(matrix), trials=5).evaluate(x)
    assert np.array_equal(5 * y[:outputs] - 3 * y[outputs:], np.where(matrix > 0, 5, 3 * matrix.astype(int)) @ x)


@pytest.mark.parametrize(("kind", "bar"), [("binary", 1762), ("ternary", 2126), ("signed-binary", 1690)])
def test_bars_32_x_288(kind: str, bar: int) -> None:
    matrix = random_weights(kind, 32, 288)
    graph = merge_sums(matrix)
    assert graph.adds < bar
    assert np.array_equal(graph.to_matrix(), matrix)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bar"), [("binary", 6110), ("ternary", 7473), ("signed-binary", 5913)])
def test_bars_64_x_576(kind: str, bar: int) -> None:
    matrix = random_weights(kind, 64, 576)
    graph = merge_sums(matrix, trials=20_000)
    assert graph.adds < 0.96 * bar
    assert np.array_equal(graph.to_matrix(), matrix)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bar"), [("binary", 307200), ("ternary", 399238), ("signed-binary", 258048)])
def test_bars_512_x_4608(kind: str, bar: int) -> None:
    matrix = random_weights(kind, 512, 4608)
    graph = merge_sums(matrix, trials=200_000)
    assert graph.adds < bar
    assert np.array_equal(graph.to_matrix(), matrix)
