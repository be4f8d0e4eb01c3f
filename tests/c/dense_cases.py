"""Random convolutions and matrix products with epilogues, for the tests of the dense engines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from harness import NATIVE, Case
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from portable import portable
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from tercet.backends.c.target import find_target
from tercet.ir.tn.elementwise import AddOp, ClipOp, HardSwishOp, LeakyReluOp, MulOp, PReluOp, ReluOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from tercet.ir.types import Element, int_type, range_of, shape_of

KERNELS = 6
FEW = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)

# Others' schedules; what aarch64 does is also emulated (tests/test_emulated.py).
TARGETS = (
    NATIVE,
    *(
        pytest.param(target, marks=pytest.mark.check)
        for target in (find_target("generic"), portable("x86-64-v4"), portable("x86-64-v4-vnni"))
    ),
    pytest.param(portable("x86-64-v3-vnni"), marks=pytest.mark.nightly),
    pytest.param(portable("aarch64-dotprod"), marks=pytest.mark.nightly),
)


def many(strategy: st.SearchStrategy[Case]) -> st.SearchStrategy[list[Case]]:
    return st.lists(strategy, min_size=KERNELS, max_size=KERNELS)


def weights(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Integers of a kind: binary, ternary, byte or wide."""
    if kind == "binary":
        return rng.choice([-1, 1], shape)
    size = {"ternary": 1, "byte": 127, "wide": 300}[kind]
    return rng.integers(-size, size, shape, endpoint=True)


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, object]:
    """Shapes and attributes of a convolution with at least one output pixel."""
    rank = draw(st.sampled_from([1, 2, 2, 2]))
    group = draw(st.sampled_from([1, 1, 1, 2, 3]))
    depthwise = draw(st.integers(0, 5)) == 0
    inputs = 1 if depthwise else draw(st.sampled_from([1, 2, 3, 5, 8, 33]))
    outputs = draw(st.sampled_from([1, 2, 5, 7, 13, 24]))
    kernel = [draw(st.integers(1, 5 if rank == 1 else 3)) for _ in range(rank)]
    dilations = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in range(rank)]
    pads = [draw(st.integers(0, 3)) for _ in range(2 * rank)] if draw(st.booleans()) else [0] * (2 * rank)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [
        max(1, span - pads[i] - pads[i + rank]) + draw(st.sampled_from([0, 1, 3, 9, 30]))
        for i, span in enumerate(spans)
    ]
    return {
        "x": (draw(st.sampled_from([1, 1, 1, 2])), group * inputs, *size),
        "w": (group * outputs, inputs, *kernel),
        "strides": [draw(st.sampled_from([1, 1, 2, 3])) for _ in range(rank)],
        "pads": pads,
        "dilations": dilations,
        "group": group,
    }


@st.composite
def products(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of a matrix product."""
    k = draw(st.sampled_from([1, 3, 8, 37, 200, 515]))
    n = draw(st.sampled_from([1, 7, 10, 64, 131]))
    lead = draw(st.sampled_from([(), (1,), (4,), (7,), (2, 3), (40,)]))
    return (*lead, k), draw(st.sampled_from([(k, n), (k, n), (k,)]))


def channel_shape(y: SSAValue, axis: int) -> tuple[int, ...]:
    """The shape of one value per channel, which broadcasts against y."""
    shape = [1] * len(shape_of(y))
    if shape:
        shape[axis] = shape_of(y)[axis]
    return tuple(shape)


def float_epilogue(case: Case, y: SSAValue, axis: int, rng: np.random.Generator, kind: str) -> SSAValue:
    """Appends float operations; `kind` names them."""

    def constant(array: np.ndarray | float) -> SSAValue:
        return case.constant(np.asarray(array, np.float32))

    shape = channel_shape(y, axis)
    if kind == "norm" and len(shape_of(y)) >= 2:
        parts = [constant(rng.random(shape_of(y)[1]) + 0.5) for _ in range(4)]
        y = case.add(BatchNormOp, y, *parts, epsilon=1e-5)
        return case.add(LeakyReluOp, y, alpha=0.1)
    if kind == "scale":
        y = case.add(MulOp, y, constant(rng.standard_normal(shape)))
        y = case.add(PReluOp, y, constant(rng.random(shape)))
        return case.add(ClipOp, y, lo=-3.0, hi=float("inf"))
    if kind == "swish":
        return case.add(HardSwishOp, case.add(AddOp, y, constant(1.5)))
    return case.add(ReluOp, y)


def integer_epilogue(case: Case, y: SSAValue, axis: int, rng: np.random.Generator, kind: str) -> SSAValue:
    """Appends operations after integer sums; exact whatever the order of sums."""
    channels = shape_of(y)[axis] if shape_of(y) else 1
    if kind in ("threshold", "many thresholds"):
        n = 2 if kind == "threshold" else 20
        lo, hi = range_of(y.type.element_type)  # type: ignore[attr-defined]
        width = max(1, int(((hi - lo) / 8) ** 0.75))
        rows = channels if rng.random() < 0.8 else 1
        thresholds = np.sort(rng.integers(-width, width, (rows, n), endpoint=True), axis=1)
        sign = [case.constant(rng.choice([-1, 1], rows))] if rng.random() < 0.5 else []
        return case.add(ThresholdOp, y, case.constant(thresholds), *sign, axis=axis, base=-1, step=1)
    if kind == "float":
        y = case.add(DequantizeOp, y, case.constant(rng.random(channel_shape(y, axis)).astype(np.float32)))
        y = case.add(HardSwishOp, y)
        return case.add(QuantizeOp, y, case.constant(np.array(3.7, np.float32)), lo=0, hi=255)
    if kind == "add":
        return case.add(AddOp, y, case.constant(rng.integers(-99, 99, channel_shape(y, axis))))
    return y


@st.composite
def float_cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["norm", "scale", "swish", "relu"]))
    ternary = draw(st.sampled_from(["", "", "ternary", "binary"]))

    def values(shape: tuple[int, ...]) -> np.ndarray:
        return (weights(rng, shape, ternary) if ternary else rng.standard_normal(shape)).astype(np.float32)

    if draw(st.integers(0, 2)) == 0:
        a, b = draw(products())
        case = Case(f"matmul {a} {b} {kind}", [(a, f32)])
        y = case.add(MatMulOp, case.inputs[0], case.constant(values(b)))
        return case.returns(float_epilogue(case, y, -1, rng, kind))
    geometry = draw(geometries())
    x, w = geometry.pop("x"), geometry.pop("w")
    residual = draw(st.booleans())
    probe = Case("probe", [(x, f32)])  # type: ignore[list-item]
    out = shape_of(probe.add(ConvOp, probe.inputs[0], probe.constant(values(w)), **geometry))  # type: ignore[arg-type]
    case = Case(f"conv {x} {w} {geometry} {kind}", [(x, f32), *([(out, f32)] if residual else [])])  # type: ignore[list-item]
    operands = [case.constant(values(w))]  # type: ignore[arg-type]
    if draw(st.booleans()):
        operands.append(case.constant(rng.standard_normal(out[1]).astype(np.float32)))
    y = case.add(ConvOp, case.inputs[0], *operands, **geometry)
    y = case.add(AddOp, y, case.inputs[1]) if residual else y
    return case.returns(float_epilogue(case, y, 1, rng, kind))


@st.composite
def float_convs(draw: st.DrawFn, geometry: st.SearchStrategy[dict[str, object]]) -> Case:
    """A convolution of floats of such a geometry, with operations after it."""
    rng, chosen = np.random.default_rng(draw(st.integers(0, 2**32))), draw(geometry)
    kind = draw(st.sampled_from(["norm", "scale", "swish", "relu"]))
    values = draw(st.sampled_from(["float", "ternary", "binary"]))
    x, w = chosen.pop("x"), chosen.pop("w")
    case = Case(f"{x} {w} {chosen} {values} {kind}", [(x, f32)])  # type: ignore[list-item]
    array = rng.standard_normal(w) if values == "float" else weights(rng, w, values)  # type: ignore[arg-type]
    operands = [case.constant(array.astype(np.float32))]
    if draw(st.booleans()):
        operands.append(case.constant(rng.standard_normal(w[0]).astype(np.float32)))  # type: ignore[index]
    y = case.add(ConvOp, case.inputs[0], *operands, **chosen)
    return case.returns(float_epilogue(case, y, 1, rng, kind))


@st.composite
def integer_convs(
    draw: st.DrawFn,
    geometry: st.SearchStrategy[dict[str, object]],
    ranges: Sequence[tuple[int, int]],
    kinds: Sequence[str],
) -> Case:
    """A convolution of integers of such a geometry, with operations after it. ranges: of inputs; kinds: of weights."""
    rng, chosen = np.random.default_rng(draw(st.integers(0, 2**32))), draw(geometry)
    element, kind = int_type(*draw(st.sampled_from(ranges))), draw(st.sampled_from(kinds))
    after = draw(st.sampled_from(["", "threshold", "many thresholds", "float", "add"]))
    x, w = chosen.pop("x"), chosen.pop("w")
    case = Case(f"{x} {w} {chosen} {kind} {after}", [(x, element)])  # type: ignore[list-item]
    operands = [case.constant(weights(rng, w, kind))]  # type: ignore[arg-type]
    if draw(st.booleans()):
        operands.append(case.constant(rng.integers(-1000, 1000, w[0])))  # type: ignore[index]
    y = case.add(ConvOp, case.inputs[0], *operands, **chosen)
    return case.returns(integer_epilogue(case, y, 1, rng, after))


@st.composite
def integer_cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    element: Element = int_type(*draw(st.sampled_from(
        [(-1, 1), (0, 1), (-8, 7), (0, 15), (-128, 127), (0, 255), (3, 9), (-300, 300)]
    )))  # fmt: skip
    kind = draw(st.sampled_from(["binary", "ternary", "ternary", "byte", "wide"]))
    after = draw(st.sampled_from(["", "threshold", "threshold", "many thresholds", "float", "add"]))
    if draw(st.integers(0, 2)) == 0:
        a, b = draw(products())
        case = Case(f"matmul {a} {b} {kind} {after}", [(a, element)])
        y = case.add(MatMulOp, case.inputs[0], case.constant(weights(rng, b, kind)))
        axis = len(shape_of(y)) - 1
        return case.returns(y if axis < 0 else integer_epilogue(case, y, axis, rng, after))
    geometry = draw(geometries())
    x, w = geometry.pop("x"), geometry.pop("w")
    case = Case(f"conv {x} {w} {geometry} {kind} {after}", [(x, element)])  # type: ignore[list-item]
    operands = [case.constant(weights(rng, w, kind))]  # type: ignore[arg-type]
    if draw(st.booleans()):
        operands.append(case.constant(rng.integers(-1000, 1000, w[0])))  # type: ignore[index]
    y = case.add(ConvOp, case.inputs[0], *operands, **geometry)
    return case.returns(integer_epilogue(case, y, 1, rng, after))
