"""Element-by-element arithmetic against onnxruntime, Python's integers and Python's decimals."""

from __future__ import annotations

import decimal
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from elementwise_ops import UNARY, attributes
from hypothesis import given
from hypothesis import strategies as st
from xdsl.ir import Block

from tercet.backends.reference.meaning import MEANING
from tercet.ir.operation import TensorOperation
from tercet.ir.tn import elementwise as tn
from tercet.ir.tn import functions as fn
from tercet.ir.types import BOOL, INT64_MAX, INT64_MIN, element_of_dtype, f32, int_type, tensor_type

from .one_op import broadcast_pair, close, compute, compute_one, equal, examples, floats, integers, onnx_node, seeds

SPECIAL = np.array([0.0, -0.0, 1e-45, -1e-45, 0.5, -0.5, 1.5, 2.5, 3e38, -3e38, np.inf, -np.inf, np.nan], np.float32)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("kind", "node"),
    [(tn.AddOp, "Add"), (tn.SubOp, "Sub"), (tn.MulOp, "Mul"), (tn.DivOp, "Div"), (tn.MaxOp, "Max"), (tn.MinOp, "Min")],
)
@given(broadcast_pair(), seeds)
@examples(8)
def test_binary_is_onnxruntimes(
    kind: type[TensorOperation], node: str, pair: tuple[tuple[int, ...], tuple[int, ...]], seed: int
) -> None:
    a, b = floats(seed, pair[0]), floats(seed + 1, pair[1])
    close(compute_one(kind, a, b), onnx_node(node, a, b)[0], rtol=0, atol=0)
    a, b = integers(seed, pair[0]), integers(seed + 1, pair[1])
    b = np.where(b == 0, 1, b) if node == "Div" else b
    equal(compute_one(kind, a, b), onnx_node(node, a, b)[0])


@given(st.integers(INT64_MIN, INT64_MAX), st.integers(INT64_MIN, INT64_MAX) | st.integers(-3, 3))
@examples(1)
def test_integer_division_truncates(a: int, b: int) -> None:
    want = 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if want <= INT64_MAX:
        equal(compute_one(tn.DivOp, np.array([a]), np.array([b])), [want])


@given(broadcast_pair(), seeds)
@examples(8)
def test_prelu_is_its_definition(pair: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    for make, same in ((floats, close), (integers, equal)):
        a, b = np.broadcast_arrays(make(seed, pair[0]), make(seed + 1, pair[1]))
        want = np.array([x if x >= 0 else x * s for x, s in zip(a.flat, b.flat, strict=True)], a.dtype)
        same(compute_one(tn.PReluOp, make(seed, pair[0]), make(seed + 1, pair[1])), want.reshape(a.shape))


@pytest.mark.parametrize(
    ("kind", "node", "attributes"),
    [
        (tn.ReluOp, "Relu", {}),
        (tn.LeakyReluOp, "LeakyRelu", {"alpha": 0.125}),
        (tn.SigmoidOp, "Sigmoid", {}),
        (tn.HardSigmoidOp, "HardSigmoid", {"alpha": 0.25, "beta": 0.625}),
        (tn.HardSwishOp, "HardSwish", {}),
        (tn.TanhOp, "Tanh", {}),
        (tn.RoundOp, "Round", {}),
        (tn.AbsOp, "Abs", {}),
        (fn.ExpOp, "Exp", {}),
        (fn.LogOp, "Log", {}),
        (fn.SqrtOp, "Sqrt", {}),
        (fn.ErfOp, "Erf", {}),
        (fn.SoftplusOp, "Softplus", {}),
        (fn.EluOp, "Elu", {"alpha": 0.75}),
        (fn.MishOp, "Mish", {}),
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3), (3, 1000)])
def test_unary_is_onnxruntimes(
    kind: type[TensorOperation], node: str, attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    x = floats(3, shape) * np.float32(4)
    close(compute_one(kind, x, **attributes), onnx_node(node, x, **attributes)[0])


@pytest.mark.parametrize("mode", fn.GELU_MODES)
def test_gelu_is_onnxruntimes(mode: str) -> None:
    x = floats(3, (3, 1000)) * np.float32(4)
    close(compute_one(fn.GeluOp, x, mode=mode), onnx_node("Gelu", x, approximate=mode)[0])


@given(broadcast_pair(), seeds)
@examples(8)
def test_power_is_onnxruntimes(pair: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    a, b = np.abs(floats(seed, pair[0])), floats(seed + 1, pair[1]) * np.float32(3)
    close(compute_one(tn.PowOp, a, b), onnx_node("Pow", a, b)[0])


def test_magnitudes_of_integers() -> None:
    equal(compute_one(tn.AbsOp, np.array([-128, -3, 0, 127])), [128, 3, 0, 127])
    equal(compute_one(tn.AbsOp, np.array([INT64_MIN, INT64_MAX])), [INT64_MIN, INT64_MAX])  # wraps


@pytest.mark.parametrize("kind", [kind for kind in UNARY if kind in fn.OPS], ids=lambda kind: kind.name)
def test_functions_are_rounded_once(kind: type[TensorOperation]) -> None:
    """The same numbers as in twice the precision, rounded."""
    x = np.abs(np.concatenate([floats(1, (500,)) * np.float32(s) for s in (1e-3, 1, 10)]))
    op = kind.make(*Block(arg_types=[tensor_type(x.shape, f32)]).args, **attributes(kind))  # type: ignore[arg-type]
    wide = np.asarray(MEANING[kind](op, x.astype(np.float64)))
    assert wide.dtype == np.float64
    close(compute_one(kind, x, **attributes(kind)), wide.astype(np.float32), rtol=0, atol=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [tn.SigmoidOp, tn.TanhOp, tn.HardSwishOp])
def test_saturating_functions_at_the_ends_of_float(kind: type[TensorOperation]) -> None:
    y = compute_one(kind, np.array([-3e38, 3e38, -np.inf, np.inf], np.float32))
    want = {tn.SigmoidOp: [0, 1, 0, 1], tn.TanhOp: [-1, 1, -1, 1], tn.HardSwishOp: [0, 3e38, np.nan, np.inf]}[kind]
    close(np.abs(y) if kind is tn.HardSwishOp else y, np.array(want, np.float32))


def test_relu_and_clip_of_integers() -> None:
    x = np.array([INT64_MIN, -3, 0, 7, INT64_MAX])
    equal(compute_one(tn.ReluOp, x), [0, 0, 0, 7, INT64_MAX])
    equal(compute_one(tn.ClipOp, x, lo=-math.inf, hi=math.inf), x)
    equal(compute_one(tn.ClipOp, x, lo=-1.0, hi=6.0), [-1, -1, 0, 6, 6])


@given(finite, finite, seeds)
@examples(6)
def test_clip_is_onnxruntimes(lo: float, hi: float, seed: int) -> None:
    lo, hi = min(lo, hi), max(lo, hi)
    x = np.concatenate([floats(seed, (20,)), np.array([lo, hi, np.inf, -np.inf], np.float32)])
    (want,) = onnx_node("Clip", x, np.float32(lo), np.float32(hi))
    close(compute_one(tn.ClipOp, x, lo=lo, hi=hi), want, rtol=0, atol=0)


DECIMAL_MODES = {
    "round": decimal.ROUND_HALF_EVEN,
    "ceil": decimal.ROUND_CEILING,
    "floor": decimal.ROUND_FLOOR,
    "up": decimal.ROUND_UP,
    "down": decimal.ROUND_DOWN,
    "half_up": decimal.ROUND_HALF_UP,
    "half_down": decimal.ROUND_HALF_DOWN,
}


def rounded(value: float | Fraction, mode: str) -> int:
    """A number's rounding, exactly, by Python's decimals."""
    numerator, denominator = value.as_integer_ratio()
    with decimal.localcontext(prec=400):
        exact = decimal.Decimal(numerator) / denominator
        return int(exact.to_integral_value(DECIMAL_MODES[mode]))


def test_every_rounding_mode_has_an_oracle() -> None:
    assert set(DECIMAL_MODES) == set(tn.ROUNDING_MODES)


@pytest.mark.parametrize("mode", tn.ROUNDING_MODES)
@given(st.lists(finite | st.integers(-2000, 2000).map(lambda i: i / 4), min_size=1))
@examples(3)
def test_rounding_is_that_of_decimals(mode: str, values: list[float]) -> None:
    x = np.array([*values, np.nextafter(np.float32(0.5), np.float32(0)), 8388609.0, -0.49999997], np.float32)
    y = compute_one(tn.RoundOp, x, mode=mode)
    assert [int(v) for v in y] == [rounded(float(v), mode) for v in x]


@pytest.mark.parametrize("mode", tn.ROUNDING_MODES)
def test_rounding_keeps_what_is_not_finite(mode: str) -> None:
    x = np.array([np.inf, -np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(compute_one(tn.RoundOp, x, mode=mode), x)


@given(st.lists(st.integers(INT64_MIN, INT64_MAX), min_size=1))
@examples(3)
def test_cast_between_integers_wraps(values: list[int]) -> None:
    x = np.array(values)
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64):
        kind = element_of_dtype(np.dtype(dtype))
        equal(compute(tn.CastOp, x, result=kind)[0], x.astype(dtype).astype(np.int64))
    equal(compute(tn.CastOp, x, result=BOOL)[0], [v % 2 for v in values])
    want = np.array([np.float32(v) for v in values], np.float32)
    close(compute(tn.CastOp, x, result=f32)[0], want, rtol=0, atol=0)


@given(st.lists(st.floats(width=32), min_size=1), st.integers(INT64_MIN, INT64_MAX), st.integers(INT64_MIN, INT64_MAX))
@examples(2)
def test_cast_of_floats_truncates_and_saturates(values: list[float], lo: int, hi: int) -> None:
    lo, hi = min(lo, hi), max(lo, hi)

    def want(v: float) -> int:
        whole = 0 if math.isnan(v) else (2**64 if v > 0 else -(2**64)) if math.isinf(v) else math.trunc(v)
        return min(max(whole, lo), hi)

    have = compute(tn.CastOp, np.array(values, np.float32), result=int_type(lo, hi))[0]
    equal(have, [want(v) for v in values])


@pytest.mark.parametrize(("shape", "axis"), [((1,), 0), ((3, 5), 1), ((2, 3, 4), 1), ((2, 0), 1), ((0, 4), 1)])
def test_softmax_is_onnxruntimes(shape: tuple[int, ...], axis: int) -> None:
    x = floats(5, shape) * np.float32(50)
    close(compute_one(tn.SoftmaxOp, x, axis=axis), onnx_node("Softmax", x, axis=axis)[0])


def test_softmax_of_a_scalar_is_one() -> None:
    close(compute_one(tn.SoftmaxOp, np.float32(7).reshape(()), axis=0), np.ones((), np.float32))


@pytest.mark.parametrize("kind", [tn.ReluOp, tn.SigmoidOp, tn.TanhOp, tn.HardSwishOp, tn.RoundOp])
def test_float_steps_stay_float32(kind: type[TensorOperation]) -> None:
    assert compute_one(kind, SPECIAL).dtype == np.float32
