"""Quantize, dequantize and threshold against onnxruntime, decimals and naive counting."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.ir.tn.elementwise import ROUNDING_MODES
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, RequantizeOp, ThresholdOp
from tercet.ir.types import INT64_MAX, INT64_MIN

from .one_op import broadcast_pair, close, compute_one, equal, examples, floats, integers, onnx_node, seeds
from .test_elementwise import rounded

scales = st.floats(2.0**-20, 2.0**20, width=32) | st.floats(-(2.0**20), -(2.0**-20), width=32)


@pytest.mark.parametrize(("dtype", "lo", "hi"), [(np.int8, -128, 127), (np.uint8, 0, 255), (np.int16, -(2**15), 32767)])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_quantize_is_onnxruntimes(dtype: type[np.integer], lo: int, hi: int, axis: int | None) -> None:
    x = np.concatenate([floats(1, (3, 4, 50)) * 300, np.arange(-30, 30, 0.5).reshape(3, 4, 10)], 2).astype(np.float32)
    scale = np.float32(0.5) if axis is None else np.exp2(integers(2, (x.shape[axis],), -3, 3)).astype(np.float32)
    zero = np.zeros_like(scale, dtype)
    attributes = {} if axis is None else {"axis": axis}
    (want,) = onnx_node("QuantizeLinear", x, scale, zero, **attributes)
    wide = scale if axis is None else scale.reshape([-1 if i == axis else 1 for i in range(3)])
    have = compute_one(QuantizeOp, x, wide, lo=lo, hi=hi)
    equal(have, want.astype(np.int64))
    (back,) = onnx_node("DequantizeLinear", want, scale, zero, **attributes)
    close(compute_one(DequantizeOp, want, wide), back, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ROUNDING_MODES)
@given(st.lists(st.floats(width=32), min_size=1), scales, st.integers(-(2**40), 2**40), st.integers(0, 2**40))
@examples(5)
def test_quantize_is_its_definition(mode: str, values: list[float], scale: float, lo: int, width: int) -> None:
    x, s, hi = np.array(values, np.float32), np.float32(scale), lo + width

    def want(v: np.float32) -> int:
        with np.errstate(all="ignore"):
            quotient = float(np.float32(v / s))
        if math.isnan(quotient):
            return min(max(0, lo), hi)
        whole = (2**64 if quotient > 0 else -(2**64)) if math.isinf(quotient) else rounded(quotient, mode)
        return min(max(whole, lo), hi)

    equal(compute_one(QuantizeOp, x, s, lo=lo, hi=hi, mode=mode), [want(v) for v in x])


def test_quantize_saturates_to_64_bits() -> None:
    x = np.array([np.inf, -np.inf, np.nan, 2.0**63, -(2.0**63), 2.0**62, 3e38], np.float32)
    have = compute_one(QuantizeOp, x, np.float32(1), lo=INT64_MIN, hi=INT64_MAX)
    equal(have, [INT64_MAX, INT64_MIN, 0, INT64_MAX, INT64_MIN, 2**62, INT64_MAX])


@given(broadcast_pair(), seeds)
@examples(10)
def test_dequantize_broadcasts(pair: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    q, s = integers(seed, pair[0]), floats(seed + 1, pair[1])
    close(compute_one(DequantizeOp, q, s), q.astype(np.float32) * s, rtol=0, atol=0)


@st.composite
def threshold_cases(draw: st.DrawFn) -> dict:
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    axis = draw(st.integers(0, max(len(shape) - 1, 0)))
    channels = shape[axis] if shape else 1
    rows = draw(st.sampled_from([1, channels])) if channels else 1
    return {
        "shape": shape,
        "axis": axis,
        "t": (rows, draw(st.sampled_from([0, 1, 2, 3, 8, 9, 15, 40]))),
        "sign": draw(st.sampled_from([None, 1, channels])) if channels else None,
        "base": draw(st.integers(-8, 8)),
        "step": draw(st.sampled_from([1, 2, -1, -3])),
        "float": draw(st.booleans()),
        "seed": draw(seeds),
    }


@given(threshold_cases())
@examples(1)
def test_threshold_is_naive_counting(case: dict) -> None:
    x, t = integers(case["seed"], case["shape"], -6, 6), integers(case["seed"] + 1, case["t"], -7, 7)
    if case["float"]:
        x, t = x.astype(np.float32), t.astype(np.float32) + np.float32(0.5) * (t % 2)
        x = np.where(x == 6, np.nan, np.where(x == 5, np.inf, np.where(x == -6, -np.inf, x))).astype(np.float32)
        t = np.where(t > 6, np.inf, np.where(t < -6, -np.inf, t)).astype(np.float32)
    t = np.sort(t, axis=1)
    sign = None if case["sign"] is None else 2 * integers(case["seed"] + 2, (case["sign"],), 0, 1) - 1
    operands = [x, t] if sign is None else [x, t, sign]
    want = np.zeros(x.shape, np.int64)
    for at in np.ndindex(x.shape):
        c = at[case["axis"]] if at else 0
        count = sum(bool(x[at] >= v) for v in t[c % len(t)])
        flipped = sign is not None and sign[c % len(sign)] < 0
        want[at] = case["base"] + case["step"] * (t.shape[1] - count if flipped else count)
    attributes = {name: case[name] for name in ("axis", "base", "step")}
    equal(compute_one(ThresholdOp, *operands, **attributes), want)


@pytest.mark.parametrize("n", [2, 20])
def test_thresholds_at_the_ends_of_64_bits(n: int) -> None:
    """Integers are never compared as floats."""
    t = np.sort(np.concatenate([np.full(n - 1, INT64_MIN), [INT64_MAX]]))[None]
    x = np.array([INT64_MIN, INT64_MAX - 1, INT64_MAX])
    equal(compute_one(ThresholdOp, x, t, axis=0, base=0, step=1), [n - 1, n - 1, n])


@pytest.mark.parametrize("mode", ROUNDING_MODES)
@given(st.integers(-(2**20), 2**20), st.integers(-(2**25), 2**25), st.integers(1, 2**48), st.sampled_from([1, 2, 4, 6]))
@examples(5)
def test_requantize_is_the_exact_quotient(mode: str, x: int, multiplier: int, divisor: int, small: int) -> None:
    """Ties come from small divisors."""
    for m, d in ((multiplier, divisor), (1, small), (-3, small)):
        have = compute_one(RequantizeOp, np.array([x]), np.array([m]), np.array([d]), lo=-(2**30), hi=2**30, mode=mode)
        whole = rounded(Fraction(x * m, d), mode)
        equal(have, np.array([min(max(whole, -(2**30)), 2**30)]))
