"""Regions of one sign: their shapes, their signs, and finding them in trained weights."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import weights

from tercet.ir.errors import InputError
from tercet.passes.lossy.recognize import one_sided_share, recognize
from tercet.passes.lossy.regions import FILTER, RegionShape, parse_regions
from tercet.passes.lossy.signs import choose_signs, one_sided, signs_by_rule, signs_of_least_error, weight_errors


def test_shapes_as_text() -> None:
    assert parse_regions("filter") == parse_regions("1xall") == FILTER
    assert parse_regions("4xall") == RegionShape(4, None)
    assert parse_regions("allx16").text == "allx16"
    for bad in ("", "4", "0x4", "4x", "-1x2", "axb", "1x2x3", "²x1"):
        with pytest.raises(InputError, match="not a shape of signed-binary regions"):
            parse_regions(bad)


def test_index_counts_blocks() -> None:
    np.testing.assert_array_equal(FILTER.index(3, 2, 2), np.repeat([[0], [1], [2]], 4, axis=1))
    np.testing.assert_array_equal(RegionShape(1, 2).index(2, 3, 1), [[0, 0, 1], [2, 2, 3]])
    np.testing.assert_array_equal(RegionShape(2, None).index(3, 2, 1), [[0, 0], [0, 0], [1, 1]])
    np.testing.assert_array_equal(RegionShape(None, 1).index(2, 2, 2), [[0, 0, 1, 1], [0, 0, 1, 1]])


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6))
def test_free_and_balanced_signs_have_the_least_error(seed: int, outputs: int, channels: int) -> None:
    w = np.random.default_rng(seed).normal(size=(outputs, channels))
    index = FILTER.index(outputs, channels, 1)
    positive, negative = weight_errors(w, index)

    def total(signs: np.ndarray) -> float:
        return float(np.where(signs > 0, positive, negative).sum())

    every = [np.array(s) for s in product((-1, 1), repeat=outputs)]
    balanced = [s for s in every if (s > 0).sum() == (outputs + 1) // 2]
    free, half = (signs_of_least_error(positive, negative, balanced=b) for b in (False, True))
    assert total(free) == min(map(total, every))
    assert (half > 0).sum() == (outputs + 1) // 2
    np.testing.assert_allclose(total(half), min(map(total, balanced)))
    assert total(free) <= total(half) <= total(signs_by_rule(index)) + 1e-12 or outputs % 2


@given(
    st.integers(0, 2**32 - 1), st.sampled_from(("rule", "balanced", "free")), st.sampled_from(("1xall", "1x2", "2xall"))
)
def test_every_region_has_one_sign(seed: int, how: str, shape: str) -> None:
    w = np.random.default_rng(seed).normal(size=(4, 4 * 9))
    regions = parse_regions(shape)
    signs = choose_signs(w, regions.index(4, 4, 9), how)  # type: ignore[arg-type]
    made = one_sided(w, signs)
    assert one_sided_share(made.values.reshape(4, 4, 3, 3), regions) == 1
    error = ((w - made.values) ** 2).sum()
    assert error < (w**2).sum()


def test_recognition() -> None:
    rng = np.random.default_rng(3)
    filters = weights("signed-binary", (8, 16, 3, 3), rng)
    assert recognize(filters) == FILTER
    tiles = np.abs(filters) * np.where(RegionShape(1, 4).index(8, 16, 9) % 3, -1, 1).reshape(filters.shape)
    assert recognize(tiles) == RegionShape(1, 4)
    columns = np.abs(filters) * np.where(RegionShape(None, 8).index(8, 16, 9) % 2, -1, 1).reshape(filters.shape)
    assert recognize(columns) == RegionShape(None, 8)
    assert recognize(np.abs(filters)) == RegionShape(None, None)
    assert recognize(rng.choice(np.array([-1, 1]), (8, 16, 3, 3))) is None
    linear = np.abs(rng.integers(0, 2, (8, 16))) * np.where(np.arange(8)[:, None] < 4, 1, -1)
    assert recognize(linear) == RegionShape(4, None)
