"""Random ternary matrices that have what real layers have: repeats, negations, zeros and single weights."""

from functools import partial

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tercet.backends.c.sum_search import NativeSearch
from tercet.passes import sum_merge

merge_sums = partial(sum_merge.merge_sums, search=NativeSearch)


def fill(outputs: int, inputs: int, density: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    there = rng.random((outputs, inputs)) < density
    return (there * rng.choice([-1, 1], size=(outputs, inputs))).astype(np.int8)


@st.composite
def matrices(draw: st.DrawFn, most: int = 12) -> np.ndarray:
    """int8 [1..most, 1..3 * most], some lines of which repeat, negate, empty or one-hot another."""
    shape = draw(st.tuples(st.integers(1, most), st.integers(1, 3 * most)))
    matrix = draw(
        st.one_of(
            hnp.arrays(np.int8, shape, elements=st.integers(-1, 1)),
            st.builds(fill, *map(st.just, shape), st.sampled_from([0.2, 0.5, 1.0]), st.integers(0, 2**32 - 1)),
        )
    )
    change = st.sampled_from(["copy", "negate", "clear", "one-hot"])
    for axis, how, a, b in draw(
        st.lists(st.tuples(st.integers(0, 1), change, st.integers(0, 99), st.integers(0, 99)), max_size=4)
    ):
        lines = matrix if axis == 0 else matrix.T
        a, b = a % len(lines), b % len(lines)
        if how in ("copy", "negate"):
            lines[a] = lines[b] if how == "copy" else -lines[b]
        else:
            lines[a] = 0
            lines[a, b % lines.shape[1]] = how == "one-hot"
    return draw(st.sampled_from([matrix, matrix.T.copy()]))


def plain_adds(matrix: np.ndarray) -> int:
    """Adds without sharing: nonzeros beyond one a row."""
    return int(np.maximum(np.count_nonzero(matrix, axis=1) - 1, 0).sum())


def random_weights(kind: str, outputs: int, inputs: int, seed: int = 0) -> np.ndarray:
    """As in benchmarks/sum_merge.py: half zeros but for binary; signed-binary rows have one sign each."""
    if kind == "signed-binary":
        sign = np.where(np.arange(outputs) < outputs // 2, 1, -1).astype(np.int8)
        return np.abs(fill(outputs, inputs, 0.5, seed)) * sign[:, None]
    return fill(outputs, inputs, 1.0 if kind == "binary" else 0.5, seed)
