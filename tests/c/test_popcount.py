"""The popcount engine equals the interpreter bit for bit: every product, geometry, vector width and thread count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dense_cases import integer_epilogue
from harness import NATIVE, Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from portable import portable
from test_table import BORDERS, check_borders, conv_case
from xdsl.dialects.builtin import f32

from tercet.backends.c.bit_products.problem import read_problem
from tercet.backends.c.emit import Emitted
from tercet.backends.c.engine import Engine
from tercet.backends.c.engines.popcount import ENGINE, as_plans
from tercet.backends.c.engines.popcount.forms import Form
from tercet.backends.c.engines.popcount.plan import NAME, Plan
from tercet.backends.c.target import Target, find_target
from tercet.ir.kn.requests import Planes
from tercet.ir.tn.elementwise import AddOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.quant import SelectThresholdOp, ThresholdOp
from tercet.ir.types import BIPOLAR, BOOL, TERNARY, Element, int_type, set_type, shape_of

SPELLED = portable("x86-64-v4-vnni")
TARGETS = (
    NATIVE,
    pytest.param(find_target("generic"), marks=pytest.mark.check),
    pytest.param(SPELLED, marks=pytest.mark.check),
    pytest.param(find_target("x86-64-v3"), marks=pytest.mark.nightly),
    pytest.param(portable("aarch64"), marks=pytest.mark.nightly),
)
ACTIVATIONS: dict[str, Element] = {
    "ternary": TERNARY, "bipolar": BIPOLAR, "bool": BOOL, "negative": int_type(-1, 0), "far": set_type([3, 100]),
    "one": int_type(2, 2),
}  # fmt: skip
WEIGHTS = {"ternary": (-1, 0, 1), "binary": (-1, 1), "positive": (0, 1), "zero": (0,), "one": (1,)}


def kinds() -> list[Case]:
    """Every kind of product, with padding, with and without thresholds; channels and outputs that fill no word."""
    found = []
    for i, (kind, values) in enumerate(WEIGHTS.items()):
        for j, (name, element) in enumerate(ACTIVATIONS.items()):
            n = (0, 2, 1)[(i + j) % 3]
            found.append(
                conv_case(
                    f"{kind} x {name}, {n} thresholds", ((5, 70)[(i + j) % 2], 5, 6), (11, 3, 3), weights=values,
                    element=element, pads=(1, 1, 1, 1), bias=bool((i + n) % 2), thresholds=n, sign=bool(j % 2),
                    step=2 if n == 1 else 1, seed=i + j,
                )
            )  # fmt: skip
    for n in (0, 2):
        found.append(
            conv_case(
                f"signed binary, {n} thresholds", (70, 6, 7), (9, 3, 3), signed_binary=True, pads=(1, 1, 1, 1),
                thresholds=n, bias=True, seed=2,
            )
        )  # fmt: skip
    return found


def geometries(element: Element = TERNARY, weights: tuple[int, ...] = (-1, 0, 1)) -> list[Case]:
    def case(name: str, x: tuple[int, ...], w: tuple[int, ...], **options: object) -> Case:
        return conv_case(f"{name} {element}", x, w, element=element, weights=weights, **options)  # type: ignore[arg-type]

    return [
        case("one pixel, one channel", (1, 1, 1), (1, 1, 1), thresholds=2),
        case("1x1", (17, 5, 6), (12, 1, 1), thresholds=2),
        case("1x1, padded", (17, 5, 6), (12, 1, 1), pads=(1, 2, 0, 1), thresholds=2),
        case("1x1, stride 2", (8, 9, 7), (6, 1, 1), strides=(2, 2)),
        case("3x3, stride 2, asymmetric pads", (4, 9, 8), (5, 3, 3), strides=(2, 2), pads=(0, 1, 2, 1)),
        case("stride 3", (3, 11, 13), (4, 5, 5), strides=(3, 3), pads=(2, 2, 2, 2), thresholds=2),
        case("dilated", (3, 12, 11), (4, 3, 3), dilations=(2, 3), pads=(2, 3, 2, 3), thresholds=2),
        case("outside", (3, 2, 2), (4, 1, 1), pads=(3, 2, 2, 3), thresholds=2, bias=True),
        case("1-D", (6, 1, 40), (7, 1, 9), strides=(2, 2), pads=(0, 4, 0, 4), thresholds=2),
        case("groups", (12, 6, 6), (8, 3, 3), group=4, pads=(1, 1, 1, 1), thresholds=2),
        case("groups of words", (128, 5, 5), (64, 3, 3), group=2, pads=(1, 1, 1, 1), thresholds=2),
        case("depthwise", (10, 8, 8), (10, 3, 3), group=10, pads=(1, 1, 1, 1)),
        case("wide map", (3, 20, 70), (5, 3, 3), pads=(1, 1, 1, 1), thresholds=2),
        case("wide map, sums", (3, 5, 300), (5, 1, 3), pads=(0, 1, 0, 1), bias=True),
        case("wide 1x1", (30, 40, 150), (20, 1, 1), thresholds=2),
        case("fully connected", (24, 3, 3), (20, 3, 3), thresholds=2, sign=True),
        case("many inputs", (200, 7, 7), (40, 3, 3), pads=(1, 1, 1, 1), thresholds=2),
        case("many inputs, sums", (200, 7, 7), (40, 3, 3), pads=(1, 1, 1, 1)),
        case("many outputs", (70, 3, 3), (150, 3, 3), pads=(1, 1, 1, 1), thresholds=2),
    ]


def select_case(name: str, selector: Element, size: tuple[int, ...], w: tuple[int, ...], *, own: bool = False) -> Case:
    """A convolution whose thresholds another map selects, or its own input."""
    rng = np.random.default_rng(3)
    x = (1, w[0] if own else size[0], *size[1:])
    case = Case(name, [(x, TERNARY), *([] if own else [((1, w[0], *size[1:]), selector)])])
    weights = case.constant(rng.choice((-1, 0, 1), (w[0], x[1], *w[1:])))
    y = case.add(ConvOp, case.inputs[0], weights, strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=1)
    lo, hi = (-1, 1) if own or selector in (TERNARY, BIPOLAR) else (0, 1)
    table = case.constant(np.sort(rng.integers(-9, 9, (w[0], hi - lo + 1, 2)), axis=2), int_type(-99, 99))
    chosen = case.inputs[-1]
    return case.returns(case.add(SelectThresholdOp, y, chosen, table, axis=1, base=-1, step=1, first=lo))


def selections() -> list[Case]:
    return [
        select_case("selected by ternary", TERNARY, (20, 6, 7), (70, 3, 3)),
        select_case("selected by binary", BOOL, (20, 6, 7), (9, 3, 3)),
        select_case("selected by bipolar", BIPOLAR, (20, 6, 7), (9, 3, 3)),
        select_case("selected by one value", int_type(1, 1), (20, 6, 7), (9, 3, 3)),
        select_case("selected by its input", TERNARY, (20, 6, 7), (20, 3, 3), own=True),
    ]


def products() -> list[Case]:
    """Matrix products of any rank and epilogue; the batch of a convolution."""
    found, rng = [], np.random.default_rng(5)
    shapes = (
        ((), 70, 40), ((1,), 1, 1), ((1,), 200, 130), ((3,), 64, 10), ((2, 5), 37, 64), ((40,), 65, 7), ((600,), 70, 9),
    )  # fmt: skip
    for i, (rows, inputs, outputs) in enumerate(shapes):
        for after in (("", "threshold"), ("float", "threshold"))[i % 2]:
            element = (TERNARY, BIPOLAR, BOOL)[(i + len(after)) % 3]
            case = Case(f"matmul {rows} {inputs} {outputs} {after}", [((*rows, inputs), element)])
            w = case.constant(rng.choice(((-1, 0, 1), (-1, 1))[i % 2], (inputs, outputs)))
            y = case.add(MatMulOp, case.inputs[0], w)
            found.append(case.returns(integer_epilogue(case, y, len(shape_of(y)) - 1, rng, after)))
    case = Case("column", [((4, 70), TERNARY)])
    found.append(case.returns(case.add(MatMulOp, case.inputs[0], case.constant(rng.choice((-1, 0, 1), 70)))))
    for size in ((3, 5, 6), (2, 9)):
        case = Case(f"batch {size}", [((2, 70, *size[1:]), TERNARY)])
        w = case.constant(rng.choice((-1, 0, 1), (20, 70, *(3,) * (len(size) - 1))))
        rank = len(size) - 1
        y = case.add(ConvOp, case.inputs[0], w, strides=[1] * rank, pads=[1] * 2 * rank, dilations=[1] * rank, group=1)
        t = case.constant(np.sort(rng.integers(-9, 9, (20, 2)), axis=1))
        found.append(case.returns(case.add(ThresholdOp, y, t, axis=1, base=-1, step=1)))
    return found


@pytest.mark.check
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_kinds(target: Target) -> None:
    every = 1 if target is NATIVE else 4
    check_engine(ENGINE, kinds()[::every], target=target, schedules="first", bits_out=True)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("bits_out", [True, pytest.param(False, marks=pytest.mark.check)])
def test_geometries(target: Target, bits_out: bool) -> None:
    forms = [geometries(), geometries(BIPOLAR, (-1, 1)), geometries(TERNARY, (-1, 1))]
    found = [case for i in range(3) for case in forms[i][(i + bits_out) % 3 :: 3]]
    found += [*selections(), *products()[bits_out::2]]
    every = 1 if target is NATIVE else 3
    check_engine(
        ENGINE, found[::every], target=target, threads=(1, 2, 3), bits_out=bits_out, planes_out=not bits_out,
        schedules="first",
    )  # fmt: skip


def full_case(size: int, value: int, element: Element, weights: tuple[int, ...]) -> Case:
    """Sums at both ends of their range, and next to them."""
    case = Case(f"{size} x {value} of {element}", [((5, size), element)])
    case.feeds = [np.full((5, size), value, np.int8)]
    w = np.resize(np.array(weights, np.int8), (40, 1)) * np.ones((1, size), np.int8)
    w[32:, 0] *= -1
    y = case.add(MatMulOp, case.inputs[0], case.constant(w.T))
    edges = np.array([-size, size]) + np.arange(-1, 2)[np.arange(40) % 3, None]
    return case.returns(case.add(ThresholdOp, y, case.constant(edges), axis=1, base=-1, step=1))


@pytest.mark.parametrize(
    ("size", "fold"), [(300, 4), *(pytest.param(n, f, marks=pytest.mark.check) for n, f in ((16382, 4), (16384, 2)))]
)
def test_counts_at_the_ends_of_narrow_lanes(size: int, fold: int) -> None:
    """Counts of several vectors are compared as one, as long as they fit."""
    texts: list[str] = []

    def emitted(e: Emitted) -> None:
        texts.extend(str(text) for name, text in e.sources.items() if name in e.nodes)

    kinds = [(TERNARY, 1), (TERNARY, -1), (BIPOLAR, 1), (BIPOLAR, -1), (BOOL, 1)]
    cases = [full_case(size, value, element, w) for element, value in kinds for w in ((-1, 1), (-1, 0, 1), (0, -1))]
    engine = Engine(NAME, lambda kernel, target: as_plans(kernel, [Plan(Form.of(read_problem(kernel)), target, 2, 4)]))
    check_engine(engine, cases, target=SPELLED, threads=(1,), bits_out=True, sources=emitted)
    levels = [text for text in texts if "popcount_levels(" in text]
    assert levels and all(f"popcount_levels(t, u, 2, 4, {fold}, " in text for text in levels)


def test_all_schedules() -> None:
    check_engine(ENGINE, [geometries()[i] for i in (2, 7, 13)], bits_out=True)


@pytest.mark.parametrize(("request_", "slack"), BORDERS)
def test_borders(request_: Planes, slack: int) -> None:
    case = conv_case("borders", (4, 17, 21), (6, 3, 3), pads=(1, 1, 1, 1), thresholds=2)
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
        size = [max(draw(st.integers(1, 24)), kernel[a]) for a in (0, 1)]
        found.append(
            conv_case(
                f"random {i}", (group * draw(st.integers(1, 130)), *size), (group * draw(st.integers(1, 40)), *kernel),
                weights=draw(st.sampled_from(list(WEIGHTS.values()))),
                element=draw(st.sampled_from(list(ACTIVATIONS.values()))), strides=stride, pads=pads, group=group,
                bias=draw(st.booleans()), thresholds=draw(st.integers(0, 3)), sign=draw(st.booleans()),
                signed_binary=draw(st.booleans()), seed=draw(st.integers(0, 99)),
            )
        )  # fmt: skip
    check_engine(ENGINE, found, schedules="first", bits_out=draw(st.booleans()), planes_out=draw(st.booleans()))


def test_refuses_with_a_reason() -> None:
    for element, weights, reason in (
        (int_type(0, 3), 1, "two values"), (f32, 1, "two values"), (TERNARY, 2, "-1, 0, 1"),
    ):  # fmt: skip
        case = Case("refused", [((1, 2, 2, 2), element)])
        array = np.full((1, 2, 1, 1), weights, np.float32 if element == f32 else np.int8)
        y = case.add(
            ConvOp, case.inputs[0], case.constant(array), strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1
        )
        with pytest.raises(AssertionError, match=reason):
            schedules_of(ENGINE, case.returns(y), NATIVE)
    case = Case("reads its input again", [((1, 2, 2, 2), TERNARY)])
    w = case.constant(np.ones((2, 2, 1, 1), np.int8))
    y = case.add(ConvOp, case.inputs[0], w, strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1)
    with pytest.raises(AssertionError, match="reads the activations"):
        schedules_of(ENGINE, case.returns(case.add(AddOp, y, case.inputs[0])), NATIVE)


def test_a_wide_vector_in_plain_c() -> None:
    """The tile of 64-byte vectors with counts of bytes, as on AVX-512 without a count of words."""
    target = replace(portable("x86-64-v4"), name="bytes")
    check_engine(ENGINE, geometries()[::4], target=target, schedules="first", bits_out=True)
