"""The integer engine equals the interpreter bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from dense_cases import FEW, TARGETS, integer_cases, many
from harness import Case, check_engine
from hypothesis import given

from tercet.backends.c.engines.dense_int8 import ENGINE
from tercet.backends.c.target import Target
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import int_type


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(many(integer_cases()))
@FEW
def test_equals_the_interpreter(target: Target, kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, target=target, threads=(1, 2, 3))


@pytest.mark.check
@given(many(integer_cases()))
@FEW
def test_planes(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, planes_out=True)


def extremes(x: tuple[int, int], weight: int, depth: int) -> list[Case]:
    """All inputs and weights at the ends of their ranges, where saturating instructions would show."""
    cases = []
    for value in x:
        case = Case(f"matmul {value} {weight} {depth}", [((3, depth), int_type(*x))])
        case.feeds = [np.full((3, depth), value)]
        cases.append(case.returns(case.add(MatMulOp, case.inputs[0], case.constant(np.full((depth, 9), weight)))))
        case = Case(f"conv {value} {weight} {depth}", [((1, depth, 3, 3), int_type(*x))])
        case.feeds = [np.full((1, depth, 3, 3), value)]
        w = case.constant(np.full((5, depth, 3, 3), weight))
        y = case.add(ConvOp, case.inputs[0], w, strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=1)
        cases.append(case.returns(y))
    for case in cases:
        assert case.feeds is not None
        case.feeds = [
            a.astype(np.int16 if x[0] < -128 or x[1] > 255 else np.uint8 if x[0] >= 0 else np.int8) for a in case.feeds
        ]
    return cases


def extreme_cases() -> list[Case]:
    return [
        *extremes((-128, 127), -128, 300),
        *extremes((0, 255), 127, 300),
        *extremes((0, 255), 1, 600),
        *extremes((-128, 127), -1, 600),
        *extremes((0, 15), -128, 257),
        *extremes((-32767, 32767), 127, 30),
    ]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_extreme_values(target: Target) -> None:
    check_engine(ENGINE, extreme_cases(), target=target, schedules="first")


@pytest.mark.check
def test_extreme_values_in_every_schedule() -> None:
    check_engine(ENGINE, extreme_cases())


def test_refuses_sums_beyond_32_bits() -> None:
    case = Case("long", [((1, 4096), int_type(-32767, 32767))])
    case.returns(case.add(MatMulOp, case.inputs[0], case.constant(np.full((4096, 2), 127))))
    with pytest.raises(AssertionError, match="32 bits"):
        check_engine(ENGINE, [case])
