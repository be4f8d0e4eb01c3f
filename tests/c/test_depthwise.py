"""The depthwise engine equals the interpreter: integers to the bit, floats within the rounding of their sums."""

from __future__ import annotations

import numpy as np
import pytest
from dense_cases import FEW, TARGETS, float_convs, integer_convs, many
from harness import NATIVE, Case, Library, check_engine, kernel_program, schedules_of
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32

from tercet.backends.c.engines.depthwise import ENGINE
from tercet.backends.c.target import Target
from tercet.ir.tn.elementwise import AddOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import int_type, shape_of

ROUNDING = 1e-4  # sums of at most 75 products of size 10


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, object]:
    """Shapes and attributes of a depthwise convolution with at least one output pixel."""
    rank = draw(st.sampled_from([1, 2, 2, 2]))
    channels = draw(st.sampled_from([2, 3, 7, 8, 15, 16, 17, 33, 40]))
    multiple = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel = [draw(st.integers(1, 5 if rank == 1 else 3)) for _ in range(rank)]
    dilations = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in range(rank)]
    pads = [draw(st.integers(0, 3)) for _ in range(2 * rank)] if draw(st.booleans()) else [0] * (2 * rank)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [
        max(1, span - pads[i] - pads[i + rank]) + draw(st.sampled_from([0, 1, 2, 3, 6, 9, 17, 30]))
        for i, span in enumerate(spans)
    ]
    return {
        "x": (draw(st.sampled_from([1, 1, 2])), channels, *size),
        "w": (channels * multiple, 1, *kernel),
        "strides": [draw(st.sampled_from([1, 1, 2, 3])) for _ in range(rank)],
        "pads": pads,
        "dilations": dilations,
        "group": channels,
    }


FLOATS = many(float_convs(geometries()))
RANGES = ((-1, 1), (0, 1), (-8, 7), (0, 15), (-128, 127), (0, 255), (3, 9))
INTEGERS = many(integer_convs(geometries(), RANGES, ("binary", "ternary", "byte")))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(FLOATS)
@FEW
def test_floats(target: Target, kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, target=target, threads=(1, 2, 3), atol=ROUNDING)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(INTEGERS)
@FEW
def test_integers(target: Target, kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, target=target, threads=(1, 2, 3))


@pytest.mark.check
@given(INTEGERS, FLOATS)
@FEW
def test_results_in_planes(integers: list[Case], floats: list[Case]) -> None:
    check_engine(ENGINE, integers, planes_out=True)
    check_engine(ENGINE, floats, planes_out=True, atol=ROUNDING)


def layer(shape: tuple[int, ...], kernel: int, *, pads: int, stride: int = 1, residual: bool = False) -> Case:
    """A float layer of a size that is divided into several blocks of rows."""
    rng = np.random.default_rng(0)
    case = Case(f"{shape} {kernel}", [(shape, f32)])
    w = case.constant(rng.standard_normal((shape[1], 1, kernel, kernel)).astype(np.float32))
    y = case.add(
        ConvOp, case.inputs[0], w, strides=[stride] * 2, pads=[pads] * 4, dilations=[1, 1], group=shape[1]
    )  # fmt: skip
    return case.returns(case.add(AddOp, y, case.inputs[0]) if residual else y)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_blocks_of_rows(target: Target) -> None:
    cases = [
        layer((1, 20, 90, 70), 3, pads=1, residual=True),
        layer((1, 3, 130, 129), 5, pads=0, stride=2),
        layer((2, 17, 61, 64), 7, pads=9),
    ]
    plans = [schedules_of(ENGINE, case, target)[0] for case in cases]
    assert all(int(plan["rows"]) < shape_of(case.outputs[0])[2] for plan, case in zip(plans, cases, strict=True))
    check_engine(ENGINE, cases, target=target, threads=(1, 2, 3), atol=ROUNDING)


def test_the_result_does_not_depend_on_threads() -> None:
    case = layer((1, 40, 60, 60), 3, pads=1)
    x = np.random.default_rng(1).standard_normal((1, 1, 40, 60, 60)).astype(np.float32)
    library = Library(kernel_program(ENGINE, [(case, schedules_of(ENGINE, case, NATIVE)[0])]))
    results = [library.run([x], threads=threads)[0] for threads in (1, 2, 3, 7)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_sums_at_the_ends_of_32_bits() -> None:
    """9 taps of 255 * 127 and a bias that together just fit."""
    taps = 9 * 255 * 127
    for bias, fits in ((2**31 - 1 - taps, True), (2**31 - taps, False)):
        case = Case(f"bias {bias}", [((1, 3, 4, 4), int_type(0, 255))])
        case.feeds = [np.full((1, 3, 4, 4), 255, np.uint8)]
        operands = case.constant(np.full((3, 1, 3, 3), 127)), case.constant(np.full(3, bias))
        y = case.add(ConvOp, case.inputs[0], *operands, strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=3)
        case.returns(y)
        if fits:
            check_engine(ENGINE, [case])
        else:
            with pytest.raises(AssertionError, match="beyond 32 bits"):
                check_engine(ENGINE, [case])


@pytest.mark.parametrize("group", [1, 2])
def test_refuses_with_a_reason(group: int) -> None:
    case = Case("grouped", [((1, 4, 5, 5), f32)])
    w = case.constant(np.ones((4, 4 // group, 3, 3), np.float32))
    case.returns(case.add(ConvOp, case.inputs[0], w, strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=group))
    with pytest.raises(AssertionError, match="expected a depthwise convolution"):
        check_engine(ENGINE, [case])
