"""Weights of three values: the best ones where a method promises them, and sane ones everywhere."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tercet.cli.groups import WEIGHTS as OFFERED
from tercet.passes.lossy.fit import errors, fit, target_of
from tercet.passes.lossy.methods import METHODS, Ternary, one_scale, ternarize, two_scales
from tercet.passes.lossy.options import WEIGHTS
from tercet.passes.lossy.statistics import InputProducts

FINITE = st.floats(-8, 8, width=32)
ROWS = arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 5)), elements=FINITE)


def error(w: np.ndarray, made: Ternary) -> np.ndarray:
    return ((w.astype(np.float64) - made.values) ** 2).sum(axis=1)


def best(w: np.ndarray, scales: int) -> np.ndarray:
    """The least error of each row over all codes, by trying them; signs are kept and one threshold divides magnitudes
    when there are two scales, as TTQ defines it."""
    least = (w.astype(np.float64) ** 2).sum(axis=1)
    for codes in product((-1, 0, 1), repeat=w.shape[1]):
        q = np.broadcast_to(np.array(codes, np.int8), w.shape)
        tried = error(w, one_scale(w, q) if scales == 1 else two_scales(w, q))
        if scales == 2:
            kept, dropped = np.where(q != 0, np.abs(w), np.inf).min(axis=1), np.where(q == 0, np.abs(w), 0).max(axis=1)
            tried = np.where((q * w >= 0).all(axis=1) & (kept > dropped), tried, np.inf)
        least = np.minimum(least, tried)
    return least


@given(ROWS)
def test_one_scale_has_the_least_error_of_all_codes(w: np.ndarray) -> None:
    np.testing.assert_allclose(error(w, ternarize(w, "ternary")), best(w, 1), rtol=1e-9, atol=1e-9)


@given(ROWS)
def test_two_scales_have_the_least_error_of_all_thresholds(w: np.ndarray) -> None:
    np.testing.assert_allclose(error(w, ternarize(w, "ttq")), best(w, 2), rtol=1e-9, atol=1e-9)


@given(ROWS, st.sampled_from(sorted(METHODS)))
def test_no_method_beats_least_squares_with_its_number_of_scales(w: np.ndarray, method: str) -> None:
    reference = ternarize(w, "ternary")
    if METHODS[method].scales == 1:
        assert (error(w, ternarize(w, method)) >= error(w, reference) - 1e-9).all()
    else:
        assert (error(w, ternarize(w, method)) <= error(w, reference) + 1e-9).all()


@given(ROWS, st.sampled_from(sorted(METHODS)), st.sampled_from((1e-30, 1e-6, 1e30)))
def test_the_codes_do_not_depend_on_the_unit(w: np.ndarray, method: str, unit: float) -> None:
    scaled = (w.astype(np.float64) * unit).astype(np.float64)
    small, large = ternarize(w, method), ternarize(scaled, method)
    np.testing.assert_allclose(large.values, small.values * unit, rtol=1e-6, atol=1e-6 * unit)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_edges(method: str) -> None:
    assert not ternarize(np.zeros((2, 9)), method).values.any()
    np.testing.assert_allclose(ternarize(np.full((1, 9), -3.5), method).values, -3.5, rtol=1e-12)
    np.testing.assert_allclose(ternarize(np.array([[0.25]]), method).values, 0.25, rtol=1e-12)
    assert ternarize(np.zeros((0, 4)), method).q.shape == (0, 4)
    assert ternarize(np.zeros((3, 0)), method).q.shape == (3, 0)


def test_rules_are_those_of_their_sources() -> None:
    w = np.random.default_rng(0).normal(size=(1, 30000))
    twn = ternarize(w, "twn")
    kept = np.abs(w) > 0.7 * np.abs(w).mean()
    np.testing.assert_array_equal(twn.q != 0, kept)
    np.testing.assert_allclose(twn.positive, np.abs(w[kept]).mean())
    ttq = ternarize(w, "ttq", 0.05)
    np.testing.assert_array_equal(ttq.q != 0, np.abs(w) > 0.05 * np.abs(w).max())
    np.testing.assert_allclose(ttq.positive, w[ttq.q > 0].mean())
    np.testing.assert_allclose(ttq.negative, -w[ttq.q < 0].mean())
    shares = [float((ternarize(w, "uniform").q == code).mean()) for code in (-1, 0, 1)]
    np.testing.assert_allclose(shares, 1 / 3, atol=1e-4)
    skewed = ternarize(w + 0.2, "asymmetric").q
    assert abs(float((skewed > 0).mean()) - float((skewed < 0).mean())) < 0.02


def test_the_command_line_offers_every_method() -> None:
    assert OFFERED == WEIGHTS


# -- fitting to outputs -----------------------------------------------------------------------------------------------


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, InputProducts]:
    """Weights [groups * rows, n] and the products of random, correlated inputs."""
    groups, rows, n = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(size=(groups, n, 40)) + 2 * rng.normal(size=(groups, 1, 40))
    z = x + draw(st.sampled_from((0, 0.1))) * rng.normal(size=x.shape)
    if draw(st.booleans()):
        x[:, 0] = 0
    products = InputProducts(x @ x.transpose(0, 2, 1), x @ z.transpose(0, 2, 1), 40)
    return rng.normal(size=(groups * rows, n)), products


@given(problems(), st.sampled_from(sorted(METHODS)), st.booleans())
def test_fitting_never_makes_outputs_worse(
    problem: tuple[np.ndarray, InputProducts], method: str, shared: bool
) -> None:
    w, products = problem
    start, target = ternarize(w, method), target_of(w, products)
    if shared:
        whole = ternarize(w.reshape(1, -1), method)
        start = Ternary(whole.q.reshape(w.shape), *(np.repeat(s, len(w)) for s in (whole.positive, whole.negative)))
    made = fit(start, target, scales=METHODS[method].scales, shared=shared)
    before, after = (errors(t.values.reshape(target.t.shape), target).sum() for t in (start, made))
    assert after <= before + 1e-9 * abs(before)
    assert np.isin(made.q, (-1, 0, 1)).all() and (made.positive >= 0).all() and (made.negative >= 0).all()
    if METHODS[method].scales == 1:
        np.testing.assert_array_equal(made.positive, made.negative)
    if shared:
        assert len(np.unique(made.positive)) == 1


@settings(max_examples=settings().max_examples // 2)
@given(problems())
def test_no_single_code_could_be_better(problem: tuple[np.ndarray, InputProducts]) -> None:
    w, products = problem
    target = target_of(w, products)
    made = fit(ternarize(w, "ternary"), target, scales=1, shared=False)
    have = errors(made.values.reshape(target.t.shape), target).reshape(-1)
    # The scales move after the last sweep: a code may then be off by what they moved, so codes are tried after a sweep.
    again = fit(made, target, scales=1, shared=False)
    assert (errors(again.values.reshape(target.t.shape), target).reshape(-1) <= have + 1e-9 * np.abs(have)).all()


def test_correlated_inputs_are_used() -> None:
    """Four equal inputs of weight 0.25 are one of weight 1: fitting finds it, rounding makes all of them zero."""
    x = np.random.default_rng(0).normal(size=(1, 5, 400))
    x[:, 1:4] = x[:, :1]
    w = np.array([[0.25, 0.25, 0.25, 0.25, 1.0]])
    products = InputProducts(x @ x.transpose(0, 2, 1), x @ x.transpose(0, 2, 1), 400)
    target = target_of(w, products)
    start = ternarize(w, "ternary")
    np.testing.assert_array_equal(start.q, [[0, 0, 0, 0, 1]])
    made = fit(start, target, scales=1, shared=False)
    left = [float(errors(t.values[None], target)[0, 0] - errors(w[None], target)[0, 0]) for t in (start, made)]
    assert left[1] < 0.1 * left[0]
