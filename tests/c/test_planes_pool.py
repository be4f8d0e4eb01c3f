"""The pooling engine against the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from harness import NATIVE, Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_table import BORDERS, check_borders

from tercet.backends.c.engines.planes_pool import ENGINE
from tercet.ir.kn.requests import Planes
from tercet.ir.tn.pool import MaxPoolOp
from tercet.ir.types import BIPOLAR, TERNARY, Element, int_type

INT8 = int_type(-128, 127)


def pool_case(
    name: str,
    x: Sequence[int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    element: Element = INT8,
) -> Case:
    case = Case(name, [((1, *x), element)])
    y = case.add(MaxPoolOp, case.inputs[0], kernel=kernel, strides=strides, pads=pads, dilations=dilations)
    return case.returns(y)


def cases() -> list[Case]:
    return [
        pool_case("2x2", (5, 12, 14), (2, 2), (2, 2)),
        pool_case("2x2, odd map", (3, 9, 11), (2, 2), (2, 2), element=TERNARY),
        pool_case("one pixel", (1, 1, 1), (1, 1), (1, 1)),
        pool_case("3x3, stride 2, padded", (4, 15, 15), (3, 3), (2, 2), (1, 1, 1, 1)),
        pool_case("padding below", (4, 14, 14), (3, 3), (2, 2), (0, 0, 1, 1), element=int_type(-128, -100)),
        pool_case("3x3, stride 1", (2, 6, 70), (3, 3), (1, 1), (1, 1, 1, 1), element=BIPOLAR),
        pool_case("strides differ", (3, 12, 13), (3, 2), (3, 1), (1, 0, 1, 1)),
        pool_case("dilated", (3, 13, 16), (2, 3), (1, 3), (1, 2, 0, 1), (2, 2)),
        pool_case("whole map", (6, 7, 7), (7, 7), (1, 1)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "planes_out"), [(16, True), (32, False), (64, True)])
def test_pools(width: int, planes_out: bool) -> None:
    target = replace(NATIVE, vector_bytes=width)
    check_engine(ENGINE, cases(), target=target, threads=(1, 2, 3), planes_out=planes_out, slack=int(planes_out))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_random_pools(data: st.DataObject) -> None:
    draw, found = data.draw, []
    for i in range(4):
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
        # ONNX wants pads below the kernel, so that no window lies wholly in padding
        before = [draw(st.integers(0, k - 1)) for k in kernel]
        after = [draw(st.integers(0, k - 1)) for k in kernel]
        size = [max(draw(st.integers(1, 12)), dilations[a] * (kernel[a] - 1) + 1) for a in (0, 1)]
        strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        found.append(
            pool_case(f"random {i}", (draw(st.integers(1, 5)), *size), kernel, strides, (*before, *after), dilations)
        )
    check_engine(ENGINE, found, planes_out=draw(st.booleans()), slack=draw(st.integers(0, 1)))


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "slack"), BORDERS)
def test_borders(request_: Planes, slack: int) -> None:
    check_borders(ENGINE, pool_case("borders", (4, 15, 19), (3, 3), (2, 2), (1, 1, 1, 1)), request_, slack)


def test_refuses() -> None:
    with pytest.raises(AssertionError, match="int8"):
        schedules_of(ENGINE, pool_case("wide", (1, 2, 2), (1, 1), (1, 1), element=int_type(0, 255)), NATIVE)
