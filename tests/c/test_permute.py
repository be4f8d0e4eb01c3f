"""The permute engine equals the interpreter bit for bit: every kind of weights, geometry and thread count."""

from __future__ import annotations

import numpy as np
import pytest
from dense_cases import integer_epilogue
from harness import NATIVE, Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from portable import portable
from test_table import BORDERS, check_borders, conv_case
from xdsl.dialects.builtin import f32

from tercet.backends.c.engines.permute import ENGINE
from tercet.backends.c.target import TARGETS, Target, find_target, runs_here
from tercet.ir.kn.requests import Planes
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import TERNARY, Element, int_type

INT8, UINT8 = int_type(-128, 127), int_type(0, 255)
WIDE = find_target("x86-64-v4")
PORTABLE = portable("x86-64-v4-vnni")
HERE = NATIVE if "permute_i16" in NATIVE.instructions else PORTABLE
TARGETS_UNDER_TEST = (
    HERE,
    *([pytest.param(PORTABLE, marks=pytest.mark.check)] if HERE is NATIVE else []),
    pytest.param(WIDE, marks=[pytest.mark.check, pytest.mark.skipif(bool(runs_here(WIDE)), reason="needs AVX-512")]),
)
ACTIVATIONS: dict[str, Element] = {
    "int8": INT8, "uint8": UINT8, "4 bits": int_type(-8, 7), "ternary": TERNARY, "positive": int_type(3, 5),
    "negative": int_type(-128, -100),
}  # fmt: skip
WEIGHTS = {"ternary": (-1, 0, 1), "binary": (-1, 1), "bool": (0, 1), "falling": (-1, 0), "zero": (0,), "one": (1,)}


def kinds() -> list[Case]:
    """Every kind of weights and activations, padded, with and without thresholds."""
    found = []
    for i, (kind, values) in enumerate(WEIGHTS.items()):
        for j, (name, element) in enumerate(ACTIVATIONS.items()):
            n = (0, 2, 7)[(i + j) % 3]
            found.append(
                conv_case(
                    f"{kind} x {name}, {n} thresholds", ((5, 16)[(i + j) % 2], 5, 6), ((11, 35)[i % 2], 3, 3),
                    weights=values, element=element, pads=(1, 1, 1, 1), bias=bool((i + n) % 2), thresholds=n,
                    sign=bool(j % 2), seed=i + j,
                )
            )  # fmt: skip
    found.append(conv_case("signed binary", (16, 6, 7), (9, 3, 3), signed_binary=True, element=INT8, pads=(1,) * 4))
    return found


def geometries(element: Element = INT8, weights: tuple[int, ...] = (-1, 0, 1)) -> list[Case]:
    def case(name: str, x: tuple[int, ...], w: tuple[int, ...], **options: object) -> Case:
        return conv_case(f"{name} {element}", x, w, element=element, weights=weights, **options)  # type: ignore[arg-type]

    return [
        case("one pixel, one channel", (1, 1, 1), (1, 1, 1), thresholds=2),
        case("1x1", (17, 5, 6), (12, 1, 1), thresholds=2),
        case("1x1, padded", (17, 5, 6), (12, 1, 1), pads=(1, 2, 0, 1), thresholds=2),
        case("1x1, stride 2", (8, 9, 7), (6, 1, 1), strides=(2, 2)),
        case("1x1, stride 3, padded", (8, 9, 11), (6, 1, 1), strides=(3, 3), pads=(2, 1, 1, 2)),
        case("3x3, stride 2, asymmetric pads", (4, 9, 8), (5, 3, 3), strides=(2, 2), pads=(0, 1, 2, 1)),
        case("stride 3", (3, 11, 13), (4, 5, 5), strides=(3, 3), pads=(2, 2, 2, 2), thresholds=2),
        case("stride 2, dilation 2", (6, 13, 12), (4, 3, 3), strides=(2, 2), dilations=(2, 2), pads=(1, 1, 2, 3)),
        case("dilated", (3, 12, 11), (4, 3, 3), dilations=(2, 3), pads=(2, 3, 2, 3), thresholds=2),
        case("outside", (3, 2, 2), (4, 1, 1), pads=(3, 2, 2, 3), thresholds=2, bias=True),
        case("1-D", (6, 1, 40), (7, 1, 9), strides=(2, 2), pads=(0, 4, 0, 4), thresholds=2),
        case("groups", (12, 6, 6), (8, 3, 3), group=4, pads=(1, 1, 1, 1), thresholds=2),
        case("depthwise", (10, 8, 8), (10, 3, 3), group=10, pads=(1, 1, 1, 1)),
        case("wide map", (3, 20, 170), (5, 3, 3), pads=(1, 1, 1, 1), thresholds=2),
        case("wide map, one row", (3, 1, 300), (5, 1, 3), pads=(0, 1, 0, 1), bias=True),
        case("wide 1x1", (30, 40, 50), (20, 1, 1), thresholds=2),
        case("fully connected", (24, 3, 3), (20, 3, 3), thresholds=2, sign=True),
        case("many inputs", (200, 7, 7), (40, 3, 3), pads=(1, 1, 1, 1), thresholds=2),
        case("many outputs", (19, 3, 3), (150, 3, 3), pads=(1, 1, 1, 1)),
    ]


def batches() -> list[Case]:
    """Convolutions of several images, and what follows them."""
    found, rng = [], np.random.default_rng(5)
    for i, size in enumerate(((3, 5, 6), (2, 9))):
        case, rank = Case(f"batch {size}", [((2, 17, *size[1:]), INT8)]), len(size) - 1
        w = case.constant(rng.choice((-1, 0, 1), (20, 17, *(3,) * rank)))
        y = case.add(ConvOp, case.inputs[0], w, strides=[1] * rank, pads=[1] * 2 * rank, dilations=[1] * rank, group=1)
        found.append(case.returns(integer_epilogue(case, y, 1, rng, ("float", "threshold")[i])))
    return found


def extreme(weight: int, value: int, element: Element, channels: int = 300) -> Case:
    """All weights and all inputs alike: the largest sums there are, which leave 16 bits soon."""
    case = Case(f"{weight} x {value}", [((1, channels, 3, 3), element)])
    w = case.constant(np.full((33, channels, 3, 3), weight, np.int8))
    case.feeds = [np.full((1, channels, 3, 3), value, np.int16).astype(np.uint8 if value > 127 else np.int8)]
    y = case.add(ConvOp, case.inputs[0], w, strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=1)
    return case.returns(y)


@pytest.mark.check
@pytest.mark.parametrize("target", TARGETS_UNDER_TEST, ids=lambda t: t.name)
def test_kinds(target: Target) -> None:
    check_engine(ENGINE, kinds()[:: 1 if target is HERE else 5], target=target, schedules="first", planes_out=True)


@pytest.mark.parametrize("target", TARGETS_UNDER_TEST, ids=lambda t: t.name)
def test_geometries(target: Target) -> None:
    forms = [geometries(), geometries(UINT8, (-1, 1)), geometries(int_type(-8, 7), (0, 1))]
    found = [case for i in range(3) for case in forms[i][i::3]] + batches()
    check_engine(ENGINE, found[:: 1 if target is HERE else 4], target=target, threads=(1, 2, 3), schedules="first")


def test_extremes() -> None:
    found = [extreme(w, x, INT8) for w in (-1, 1) for x in (-128, 127)] + [extreme(w, 255, UINT8) for w in (-1, 1)]
    check_engine(ENGINE, found, target=HERE, schedules="first", threads=(1,))


def test_all_schedules() -> None:
    check_engine(ENGINE, [geometries()[i] for i in (5, 13, 17)], target=HERE)


@pytest.mark.skipif(HERE is not NATIVE, reason="needs AVX-512")
@pytest.mark.parametrize(("request_", "slack"), BORDERS)
def test_borders(request_: Planes, slack: int) -> None:
    case = conv_case("borders", (4, 17, 21), (6, 3, 3), element=INT8, pads=(1, 1, 1, 1), thresholds=2)
    check_borders(ENGINE, case, request_, slack)


@pytest.mark.check
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_random_convolutions(data: st.DataObject) -> None:
    draw, found = data.draw, []
    for i in range(6):
        group = draw(st.sampled_from((1, 1, 2, 3)))
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        kernel, pads = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(st.tuples(*[st.integers(0, 4)] * 4))
        dilations = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        size = [max(draw(st.integers(1, 24)), (kernel[a] - 1) * dilations[a] + 1) for a in (0, 1)]
        found.append(
            conv_case(
                f"random {i}", (group * draw(st.integers(1, 70)), *size), (group * draw(st.integers(1, 40)), *kernel),
                weights=draw(st.sampled_from(list(WEIGHTS.values()))),
                element=draw(st.sampled_from(list(ACTIVATIONS.values()))), strides=stride, pads=pads, group=group,
                dilations=dilations, bias=draw(st.booleans()), thresholds=draw(st.integers(0, 3)),
                sign=draw(st.booleans()), signed_binary=draw(st.booleans()), seed=draw(st.integers(0, 99)),
            )
        )  # fmt: skip
    check_engine(ENGINE, found, target=HERE, schedules="first", planes_out=draw(st.booleans()))


def test_refuses_with_a_reason() -> None:
    for element, weights, reason in (
        (int_type(-300, 300), 1, "8 bits"), (f32, 1, "8 bits"), (INT8, 2, "-1, 0, 1"),
    ):  # fmt: skip
        case = Case("refused", [((1, 2, 2, 2), element)])
        array = np.full((1, 2, 1, 1), weights, np.float32 if element == f32 else np.int8)
        y = case.add(
            ConvOp, case.inputs[0], case.constant(array), strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1
        )
        with pytest.raises(AssertionError, match=reason):
            schedules_of(ENGINE, case.returns(y), HERE)
    with pytest.raises(AssertionError, match="has no permute_i16"):
        schedules_of(ENGINE, geometries()[0], TARGETS["x86-64-v3"])
