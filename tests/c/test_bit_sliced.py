"""The bit-sliced engine against the interpreter: every kind of product, geometry, vector width and thread count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import NATIVE, Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_table import BORDERS, WEIGHTS, check_borders, conv_case

from tercet.backends.c.engine import Planes
from tercet.backends.c.engines.bit_sliced import ENGINE
from tercet.ir.types import BIPOLAR, BOOL, TERNARY, int_type

ACTIVATIONS = {"ternary": TERNARY, "bipolar": BIPOLAR, "bool": BOOL, "negative": int_type(-1, 0)}


def cases() -> list[Case]:
    found = []
    for i, (kind, values) in enumerate(WEIGHTS.items()):
        for j, (range_name, element) in enumerate(ACTIVATIONS.items()):
            n = (0, 2, 5)[(i + j) % 3]
            found.append(
                conv_case(
                    f"{kind} x {range_name}, {n} thresholds", (5, 7, 9), (9, 3, 3), weights=values, element=element,
                    pads=((i + j) % 2,) * 4, bias=bool(i % 2), thresholds=n, sign=bool(j % 2), seed=i + j,
                )
            )  # fmt: skip
    return found


def geometries() -> list[Case]:
    return [
        conv_case("one pixel, one channel", (1, 1, 1), (1, 1, 1), thresholds=2),
        conv_case("1x1, stride 2", (8, 9, 7), (6, 1, 1), strides=(2, 2), element=BIPOLAR),
        conv_case("3x3, stride 2, asymmetric pads", (4, 19, 38), (5, 3, 3), strides=(2, 2), pads=(0, 1, 2, 1)),
        conv_case("dilated", (3, 12, 11), (4, 3, 3), dilations=(2, 3), pads=(2, 3, 2, 3), thresholds=2),
        conv_case("groups", (12, 6, 6), (8, 3, 3), group=4, pads=(1, 1, 1, 1), thresholds=2),
        conv_case("wide map", (3, 20, 70), (5, 3, 3), pads=(1, 1, 1, 1), thresholds=2, weights=(-1, 1)),
        conv_case("many inputs", (150, 4, 4), (6, 3, 3), pads=(1, 1, 1, 1)),
        conv_case("bipolar levels", (16, 6, 7), (9, 3, 3), thresholds=1, step=2, sign=True, seed=1, element=BIPOLAR),
        conv_case("falling levels", (16, 6, 7), (9, 3, 3), thresholds=4, base=200, step=-3, sign=True, seed=1),
        conv_case("1-D", (6, 1, 40), (7, 1, 9), strides=(2, 2), pads=(0, 4, 0, 4), thresholds=2),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "planes_out"), [(16, False), (32, True), pytest.param(64, True, marks=pytest.mark.check)]
)
def test_geometries(width: int, planes_out: bool) -> None:
    check_engine(
        ENGINE, geometries(), target=replace(NATIVE, vector_bytes=width), threads=(1, 2, 3), planes_out=planes_out,
        slack=width == 32, schedules="all" if width == 32 else "first",
    )  # fmt: skip


def test_tables_behind_whole_chunks() -> None:
    """Inputs in groups of three: none left over, one table left over, more than one."""
    cases: dict[int, Case] = {}
    for n in range(2, 40):
        case = conv_case(f"{n} groups", (3 * n - n % 3, 4, 5), (4, 1, 1), weights=(-1, 1))  # every input counts
        chunk = int(schedules_of(ENGINE, case, NATIVE)[0]["chunk"])
        if n > chunk:
            cases.setdefault(min(n % chunk, 2), case)
    assert sorted(cases) == [0, 1, 2]
    check_engine(ENGINE, list(cases.values()), schedules="first", threads=(1,))


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "slack"), BORDERS[:3:2])
def test_borders(request_: Planes, slack: int) -> None:
    case = conv_case("borders", (4, 17, 21), (6, 3, 3), pads=(1, 1, 1, 1), thresholds=2)
    check_borders(ENGINE, case, request_, slack)


@pytest.mark.check
@pytest.mark.slow
def test_kinds() -> None:
    check_engine(ENGINE, cases(), schedules="first", planes_out=True)


@pytest.mark.check
@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_random_convolutions(data: st.DataObject) -> None:
    draw, found = data.draw, []
    for i in range(4):
        group, stride = draw(st.sampled_from((1, 1, 2, 3))), draw(st.integers(1, 3))
        kernel, pads = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(st.tuples(*[st.integers(0, 2)] * 4))
        size = [max(draw(st.integers(1, 24)), kernel[a]) for a in (0, 1)]
        found.append(
            conv_case(
                f"random {i}", (group * draw(st.integers(1, 9)), *size), (group * draw(st.integers(1, 9)), *kernel),
                weights=draw(st.sampled_from(list(WEIGHTS.values()))),
                element=draw(st.sampled_from(list(ACTIVATIONS.values()))),
                strides=(stride, stride), pads=pads, group=group, bias=draw(st.booleans()),
                thresholds=draw(st.integers(0, 4)), sign=draw(st.booleans()), seed=draw(st.integers(0, 99)),
            )
        )  # fmt: skip
    check_engine(ENGINE, found, schedules="first", planes_out=draw(st.booleans()), slack=draw(st.integers(0, 1)))


def test_refuses() -> None:
    with pytest.raises(AssertionError, match="activations"):
        schedules_of(ENGINE, conv_case("wide", (1, 2, 2), (1, 1, 1), element=int_type(0, 3)), NATIVE)
