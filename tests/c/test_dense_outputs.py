"""Dense convolutions with outputs in the lanes equal the interpreter, whatever their blocks, strips and panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from dense_cases import FEW, TARGETS, float_convs, integer_convs, many
from harness import NATIVE, Case, Library, check_engine, kernel_program, schedules_of
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32

from tercet.backends.c.dense.problem import MatMul, read_problem
from tercet.backends.c.engine import Engine, Kernel, Plan
from tercet.backends.c.engines import dense_f32, dense_int8
from tercet.backends.c.refusal import Refused
from tercet.backends.c.target import Target
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import int_type

ROUNDING = 2e-4  # sums of a few hundred products of size 10, in another order


def only_outputs(engine: Engine) -> Engine:
    """The engine with the schedules that have outputs in the lanes; convolutions of one pixel are matrix products."""

    def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
        found = engine.read(kernel, target)
        if isinstance(read_problem(kernel), MatMul):
            return found
        plans = [plan for plan in found if plan.schedule.get("lanes") == "outputs"]
        if not plans:
            raise Refused("expected outputs for all lanes")
        return plans

    return Engine(engine.name, read)


INT8, F32 = only_outputs(dense_int8.ENGINE), only_outputs(dense_f32.ENGINE)


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, object]:
    """Shapes and attributes of a convolution with outputs for at least one vector of 64 bytes."""
    rank = draw(st.sampled_from([1, 2, 2, 2]))
    group = draw(st.sampled_from([1, 1, 2]))
    inputs = draw(st.sampled_from([1, 2, 3, 4, 5, 9, 33]))
    outputs = draw(st.sampled_from([16, 17, 24, 40, 64, 70]))
    kernel = [draw(st.integers(1, 5 if rank == 1 else 3)) for _ in range(rank)]
    dilations = [draw(st.sampled_from([1, 1, 2])) for _ in range(rank)]
    pads = [draw(st.integers(0, 3)) for _ in range(2 * rank)] if draw(st.booleans()) else [0] * (2 * rank)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [
        max(1, span - pads[i] - pads[i + rank]) + draw(st.sampled_from([0, 1, 3, 6, 13, 30]))
        for i, span in enumerate(spans)
    ]
    return {
        "x": (draw(st.sampled_from([1, 1, 2])), group * inputs, *size),
        "w": (group * outputs, inputs, *kernel),
        "strides": [draw(st.sampled_from([1, 1, 2, 3])) for _ in range(rank)],
        "pads": pads,
        "dilations": dilations,
        "group": group,
    }


FLOATS = many(float_convs(geometries()))
RANGES = ((-1, 1), (0, 15), (-128, 127), (0, 255), (3, 9), (-300, 300))
INTEGERS = many(integer_convs(geometries(), RANGES, ("binary", "ternary", "byte", "wide")))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(FLOATS)
@FEW
def test_floats(target: Target, kernels: list[Case]) -> None:
    check_engine(F32, kernels, target=target, threads=(1, 2, 3), atol=ROUNDING)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(INTEGERS)
@FEW
def test_integers(target: Target, kernels: list[Case]) -> None:
    check_engine(INT8, kernels, target=target, threads=(1, 2, 3))


@pytest.mark.check
@given(INTEGERS, FLOATS)
@FEW
def test_results_in_planes(integers: list[Case], floats: list[Case]) -> None:
    check_engine(INT8, integers, planes_out=True)
    check_engine(F32, floats, planes_out=True, atol=ROUNDING)


def layer(shape: tuple[int, ...], outputs: int, kernel: int, *, floats: bool, stride: int = 1) -> Case:
    rng = np.random.default_rng(0)
    case = Case(f"{shape} {outputs} {kernel}", [(shape, f32 if floats else int_type(0, 255))])
    w = rng.standard_normal((outputs, shape[1], kernel, kernel)) if floats else rng.integers(
        -127, 128, (outputs, shape[1], kernel, kernel)
    )  # fmt: skip
    pads = [kernel // 2] * 4
    stored = case.constant(w.astype(np.float32) if floats else w)
    return case.returns(
        case.add(ConvOp, case.inputs[0], stored, strides=[stride] * 2, pads=pads, dilations=[1, 1], group=1)
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("floats", [True, False])
def test_blocks_of_rows_columns_and_depth(floats: bool, target: Target) -> None:
    cases = [
        layer((1, 6, 50, 40), 40, 3, floats=floats),  # blocks of rows, in strips
        layer((1, 5, 25, 40), 33, 1, floats=floats),  # one row in blocks of columns
        layer((1, 4, 3, 300), 16, 3, floats=floats),  # rows longer than a strip
        layer((1, 300, 7, 7), 66, 3, floats=floats, stride=2),  # blocks of depth
    ]
    check_engine(F32 if floats else INT8, cases, target=target, threads=(1, 2, 3), atol=1e-3 if floats else 0)


def test_the_result_does_not_depend_on_threads() -> None:
    case = layer((1, 40, 30, 30), 50, 3, floats=True)
    x = np.random.default_rng(1).standard_normal((1, 1, 40, 30, 30)).astype(np.float32)
    for schedule in schedules_of(F32, case, NATIVE):
        library = Library(kernel_program(F32, [(case, schedule)]))
        results = [library.run([x], threads=threads)[0] for threads in (1, 2, 3, 7)]
        assert all(np.array_equal(results[0], other) for other in results[1:])


def test_few_outputs_are_refused() -> None:
    with pytest.raises(AssertionError, match="outputs for all lanes"):
        check_engine(F32, [layer((1, 3, 5, 5), NATIVE.lanes(np.int32) - 1, 3, floats=True)])
