"""The engine for active inputs equals the interpreter bit for bit: every kind, geometry, width and thread count."""

from __future__ import annotations

import numpy as np
import pytest
from harness import NATIVE, Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from portable import portable
from test_popcount import ACTIVATIONS, WEIGHTS, geometries, kinds, products, selections
from test_table import BORDERS, check_borders, conv_case
from xdsl.dialects.builtin import f32

from tercet.backends.c.emit import Emitted
from tercet.backends.c.engine import Engine
from tercet.backends.c.engines.active_inputs import ENGINE, as_plans
from tercet.backends.c.engines.active_inputs.forms import read_form
from tercet.backends.c.engines.active_inputs.plan import NAME, Plan
from tercet.backends.c.target import Target, find_target
from tercet.ir.kn.requests import Planes
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import BIPOLAR, BOOL, TERNARY, Element, int_type, shape_of

TARGETS = (
    NATIVE,
    *(
        pytest.param(target, marks=pytest.mark.check)
        for target in (find_target("generic"), portable("x86-64-v4-vnni"), find_target("x86-64-v3"))
    ),
    pytest.param(portable("aarch64"), marks=pytest.mark.nightly),
)


def in_one_group(cases: list[Case]) -> list[Case]:
    return [case for case in cases if "groups" not in case.name and "depthwise" not in case.name]


def wide(activations: Element, weights: tuple[int, ...], share: float, n: int, outputs: int = 150) -> Case:
    """Many inputs, so that lists have whole runs of blocks, of which `share` are active."""
    name = f"{weights} x {activations}, {share:.0%} active, {n} thresholds, {outputs} outputs"
    case = conv_case(
        name, (300, 4, 5), (outputs, 3, 3), weights=weights, element=activations, pads=(1, 1, 1, 1), thresholds=n,
        bias=True, seed=n,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    shape = shape_of(case.inputs[0])
    values = rng.choice((-1, 1), shape) if activations == TERNARY else np.ones(shape)
    case.feeds = [(values * (rng.random(shape) < share)).astype(np.int8)]
    return case


def densities() -> list[Case]:
    found = []
    for share in (0, 0.2, 0.7, 1):
        for n in (0, 2):
            found += [wide(TERNARY, weights, share, n) for weights in ((-1, 0, 1), (-1, 1), (0, 1), (-1, 0))]
            found += [wide(BOOL, weights, share, n, outputs=70) for weights in ((-1, 0, 1), (-1, 1), (0, -1))]
    return found


@pytest.mark.check
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_kinds(target: Target) -> None:
    every = 1 if target is NATIVE else 4
    check_engine(ENGINE, kinds()[::every], target=target, schedules="first", bits_out=True)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("bits_out", [True, pytest.param(False, marks=pytest.mark.check)])
def test_geometries(target: Target, bits_out: bool) -> None:
    forms = [geometries(), geometries(BIPOLAR, (-1, 1)), geometries(TERNARY, (-1, 1)), geometries(BOOL, (0, -1))]
    found = [case for i in range(4) for case in in_one_group(forms[i])[(i + bits_out) % 4 :: 4]]
    found += [*selections(), *products()[bits_out::2]]
    every = 1 if target is NATIVE else 3
    check_engine(
        ENGINE, found[::every], target=target, threads=(1, 2, 3), bits_out=bits_out, planes_out=not bits_out,
        schedules="first",
    )  # fmt: skip


@pytest.mark.check
@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_densities(target: Target) -> None:
    every = 1 if target is NATIVE else 5
    check_engine(ENGINE, densities()[::every], target=target, schedules="first", threads=(1,), bits_out=True)


def test_all_schedules() -> None:
    """Every width of a block, chunks of some and of all channels."""
    found = [wide(TERNARY, (-1, 0, 1), 0.5, 2), wide(BOOL, (-1, 1), 0.5, 0, outputs=600)]
    schedules = [s for case in found for s in schedules_of(ENGINE, case, NATIVE)]
    assert len({s["words"] for s in schedules}) > 1
    check_engine(ENGINE, found, bits_out=True)


@pytest.mark.parametrize(
    ("width", "words"), [(32, 3), *(pytest.param(w, 1, marks=pytest.mark.check) for w in (16, 32, 64))]
)
def test_every_width(width: int, words: int) -> None:
    """Also those that are predicted to lose."""
    target = portable("x86-64-v4-vnni")
    texts: list[str] = []

    def emitted(e: Emitted) -> None:
        texts.extend(str(text) for name, text in e.sources.items() if name in e.nodes)

    cases = [wide(TERNARY, (-1, 0, 1), 0.5, 2), wide(BOOL, (-1, 1), 0.5, 0)]
    engine = Engine(NAME, lambda kernel, target: as_plans(kernel, [Plan(read_form(kernel), target, width, words)]))
    check_engine(engine, cases, target=target, bits_out=True, threads=(1, 2), sources=emitted)
    assert sum(f"#define ACTIVE_BYTES {width}\n" in text and f".chunk = {words}," in text for text in texts) == 2


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
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        kernel, pads = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(st.tuples(*[st.integers(0, 4)] * 4))
        size = [max(draw(st.integers(1, 24)), kernel[a]) for a in (0, 1)]
        found.append(
            conv_case(
                f"random {i}", (draw(st.integers(1, 200)), *size), (draw(st.integers(1, 300)), *kernel),
                weights=draw(st.sampled_from(list(WEIGHTS.values()))),
                element=draw(st.sampled_from(list(ACTIVATIONS.values()))), strides=stride, pads=pads,
                bias=draw(st.booleans()), thresholds=draw(st.integers(0, 3)), sign=draw(st.booleans()),
                signed_binary=draw(st.booleans()), seed=draw(st.integers(0, 99)),
            )
        )  # fmt: skip
    check_engine(ENGINE, found, schedules="first", bits_out=draw(st.booleans()), planes_out=draw(st.booleans()))


def test_refuses_with_a_reason() -> None:
    for element, weights, group, reason in (
        (int_type(0, 3), 1, 1, "two values"), (f32, 1, 1, "two values"), (TERNARY, 2, 1, "-1, 0, 1"),
        (TERNARY, 1, 2, "groups"),
    ):  # fmt: skip
        case = Case("refused", [((1, 2, 2, 2), element)])
        array = np.full((2, 2 // group, 1, 1), weights, np.float32 if element == f32 else np.int8)
        y = case.add(
            ConvOp, case.inputs[0], case.constant(array), strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=group
        )
        with pytest.raises(AssertionError, match=reason):
            schedules_of(ENGINE, case.returns(y), NATIVE)
