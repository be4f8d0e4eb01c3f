"""Integers are found in float weights exactly or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from random_networks import WEIGHT_KINDS, weights

from tercet.passes.classify_weights import find_integers


@given(
    st.sampled_from(WEIGHT_KINDS),
    st.integers(0, 2**32 - 1),
    st.sampled_from(((1, 1), (4, 9), (3, 2, 3, 3))),
    st.booleans(),
)
def test_found_integers_reproduce_the_weights(kind: str, seed: int, shape: tuple[int, ...], per_channel: bool) -> None:
    rng = np.random.default_rng(seed)
    q = weights(kind, shape, rng)
    scale = rng.random((shape[0] if per_channel else 1, *[1] * (len(shape) - 1))).astype(np.float32) + np.float32(0.01)
    w = (q * scale).astype(np.float32)
    found = find_integers(w, 0)
    if kind in ("ternary", "binary", "signed-binary", "zero"):
        assert found is not None
    if found is not None:
        assert found.q.dtype == np.int8
        np.testing.assert_array_equal((found.q * found.scale).astype(np.float32), w)
        if kind in ("ternary", "binary", "signed-binary"):
            assert np.abs(found.q).max() <= 1


@given(arrays(np.float32, (3, 7), elements=st.floats(-4, 4, width=32)))
def test_arbitrary_floats_are_kept_or_exact(w: np.ndarray) -> None:
    found = find_integers(w, 0)
    if found is not None:
        np.testing.assert_array_equal((found.q * found.scale).astype(np.float32), w)


def test_normal_weights_stay_float() -> None:
    assert find_integers(np.random.default_rng(0).normal(size=(8, 27)).astype(np.float32), 0) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_stays_float(bad: float) -> None:
    assert find_integers(np.array([[1, bad]], np.float32), 0) is None
