"""The float engine equals the interpreter within 1e-5; after thresholds it is exact where the sums are."""

from __future__ import annotations

import numpy as np
import pytest
from dense_cases import FEW, TARGETS, float_cases, many
from harness import NATIVE, Case, Library, check_engine, kernel_program, schedules_of
from hypothesis import given
from xdsl.dialects.builtin import f32

from tercet.backends.c.engines.dense_f32 import ENGINE
from tercet.backends.c.target import Target
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import ThresholdOp

ROUNDING = 2e-4  # sums of a few hundred products of size 10, in another order


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(many(float_cases()))
@FEW
def test_equals_the_interpreter(target: Target, kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, target=target, threads=(1, 2, 3), atol=ROUNDING, schedules="first")


@pytest.mark.check
@given(many(float_cases()))
@FEW
def test_every_schedule_and_planes(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, atol=ROUNDING, planes_out=True)


def first_layer(size: int, stride: int, ternary: bool) -> Case:
    """A quantized network's first layer: float input of whole numbers, thresholds, ternary result."""
    rng = np.random.default_rng(size)
    case = Case(f"first layer {size} {stride}", [((1, 3, size, size), f32)])
    w = rng.integers(-1, 2, (16, 3, 3, 3)) if ternary else rng.integers(-9, 9, (16, 3, 3, 3))
    y = case.add(
        ConvOp, case.inputs[0], case.constant(w.astype(np.float32)), strides=[stride] * 2, pads=[1] * 4,
        dilations=[1, 1], group=1,
    )  # fmt: skip
    thresholds = np.sort(rng.integers(-30, 30, (16, 2)), axis=1).astype(np.float32)
    case.feeds = [rng.integers(-20, 20, (1, 3, size, size)).astype(np.float32)]
    return case.returns(case.add(ThresholdOp, y, case.constant(thresholds), axis=1, base=-1, step=1))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_first_layers_write_planes(target: Target) -> None:
    cases = [
        first_layer(size, stride, ternary) for size, stride, ternary in [(32, 1, True), (21, 2, False), (5, 1, True)]
    ]
    check_engine(ENGINE, cases, target=target, threads=(1, 2, 3), planes_out=True)


def test_result_does_not_depend_on_threads() -> None:
    rng = np.random.default_rng(0)
    case = Case("threads", [((1, 40, 30, 30), f32)])
    w = case.constant(rng.standard_normal((50, 40, 3, 3)).astype(np.float32))
    case.returns(case.add(ConvOp, case.inputs[0], w, strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=1))
    x = rng.standard_normal((1, 1, 40, 30, 30)).astype(np.float32)
    for schedule in schedules_of(ENGINE, case, NATIVE):
        library = Library(kernel_program(ENGINE, [(case, schedule)]))
        results = [library.run([x], threads=threads)[0] for threads in (1, 2, 3, 7)]
        assert all(np.array_equal(results[0], other) for other in results[1:])


def test_refuses_with_a_reason() -> None:
    case = Case("computed weights", [((1, 2, 4, 4), f32), ((3, 2, 1, 1), f32)])
    case.returns(case.add(ConvOp, *case.inputs, strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1))
    with pytest.raises(AssertionError, match="constant weights"):
        check_engine(ENGINE, [case])
