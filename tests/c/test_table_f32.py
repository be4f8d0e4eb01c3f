"""The float table engine against the interpreter: every kind of weights, geometry, epilogue, vector width, thread."""

from __future__ import annotations

import numpy as np
import pytest
from dense_cases import FEW, TARGETS, float_epilogue, many
from harness import NATIVE, Case, Library, check_engine, kernel_program, schedules_of
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32

from tercet.backends.c.digits import find_digits
from tercet.backends.c.emit import emit_model
from tercet.backends.c.engine import Kernel
from tercet.backends.c.engines.table_f32 import ENGINE
from tercet.backends.c.engines.table_f32.plan import plans
from tercet.backends.c.engines.table_f32.problem import read_problem
from tercet.backends.c.lowering.select_engines import fusable_group
from tercet.backends.c.target import TARGETS as BY_NAME
from tercet.backends.c.target import Target
from tercet.ir.tn.elementwise import AddOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import shape_of
from tercet.passes.grouping import build_kernel

AVX2 = BY_NAME["x86-64-v3"]
ROUNDING = 2e-4  # sums of a few hundred terms of size 10, in another order
KINDS = ["ternary", "binary", "signed-binary", "ttq", "two", "zero"]


def few_valued(rng: np.random.Generator, shape: tuple[int, ...], kind: str, scaled: bool) -> np.ndarray:
    """Float weights of a kind; scaled: times a factor of either sign per output channel, as a batch norm leaves."""
    plus, minus = np.float32(0.73), np.float32(-1.9)
    values = {
        "ternary": (-plus, 0, plus), "binary": (-1, 1), "signed-binary": (0, plus), "ttq": (minus, 0, plus),
        "two": (minus, plus), "zero": (0,),
    }[kind]  # fmt: skip
    array = rng.choice(np.array(values, np.float32), shape)
    factor = np.ones(shape[0], np.float32)
    if scaled:
        factor = (rng.standard_normal(shape[0]) + 0.1).astype(np.float32)
    if kind == "signed-binary":
        factor = factor * rng.choice(np.array([-1, 1], np.float32), shape[0])
    return (array * factor.reshape(-1, *(1,) * (len(shape) - 1))).astype(np.float32)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind, scaled = draw(st.sampled_from(KINDS)), draw(st.booleans())
    group = draw(st.sampled_from([1, 1, 1, 2, 3]))
    inputs, outputs = draw(st.sampled_from([1, 2, 3, 5, 8, 13])), draw(st.sampled_from([1, 2, 5, 9, 16]))
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    dilations = [draw(st.sampled_from([1, 1, 1, 2, 9])) for _ in range(2)]
    strides = [draw(st.sampled_from([1, 1, 2, 3]))] * 2
    pads = [draw(st.integers(0, 3)) for _ in range(4)] if draw(st.booleans()) else [0] * 4
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [max(1, spans[i] - pads[i] - pads[i + 2]) + draw(st.sampled_from([0, 1, 3, 6, 9, 17, 30])) for i in range(2)]
    x, w = (1, group * inputs, *size), few_valued(rng, (group * outputs, inputs, *kernel), kind, scaled)
    geometry = {"strides": strides, "pads": pads, "dilations": dilations, "group": group}
    probe = Case("probe", [(x, f32)])
    out = shape_of(probe.add(ConvOp, probe.inputs[0], probe.constant(w), **geometry))
    residual = draw(st.booleans())
    after = draw(st.sampled_from(["norm", "scale", "swish", "relu"]))
    name = f"{kind} {scaled} {x} {w.shape} {geometry} {after}"
    case = Case(name, [(x, f32), *([(out, f32)] if residual else [])])
    operands = [case.constant(w)]
    if draw(st.booleans()):
        operands.append(case.constant(rng.standard_normal(out[1]).astype(np.float32)))
    y = case.add(ConvOp, case.inputs[0], *operands, **geometry)
    y = case.add(AddOp, y, case.inputs[1]) if residual else y
    return case.returns(float_epilogue(case, y, 1, rng, after))


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(many(cases()))
@FEW
def test_equals_the_interpreter(target: Target, kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, target=target, threads=(1, 2, 3), atol=ROUNDING, schedules="first")


@pytest.mark.check
@given(many(cases()))
@FEW
def test_every_schedule_and_planes(kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, atol=ROUNDING, planes_out=True, slack=1)


def layer(inputs: int, outputs: int, size: int, kernel: int = 3, stride: int = 1, kind: str = "ternary") -> Case:
    rng = np.random.default_rng(size)
    case = Case(f"{kind} {inputs} {outputs} {size} {kernel} {stride}", [((1, inputs, size, size), f32)])
    w = case.constant(few_valued(rng, (outputs, inputs, kernel, kernel), kind, False))
    pad = [kernel // 2] * 4
    y = case.add(ConvOp, case.inputs[0], w, strides=[stride] * 2, pads=pad, dilations=[1, 1], group=1)
    return case.returns(y)


@pytest.mark.check
def test_layers_of_networks() -> None:
    """Several chunks with a shorter last one, overlapping tiles, several blocks across, wide filters."""
    shapes = [(64, 24, 56), (40, 32, 28), (70, 48, 14), (200, 40, 7), (3, 16, 40, 7, 2), (20, 16, 29, 3, 2)]
    wide = [layer(3, 1200, 34), layer(50, 24, 17, 1), layer(50, 24, 17, 1, 2), layer(4, 600, 31, 3, 1, "ttq")]
    check_engine(ENGINE, [*(layer(*shape) for shape in shapes), *wide], batch=1, atol=ROUNDING)


def pointwise(height: int, width: int, **changes: object) -> Case:
    case = Case(f"pointwise {height} {width} {changes}", [((1, 21, height, width), f32)])
    w = case.constant(few_valued(np.random.default_rng(height), (30, 21, 1, 1), "ttq", True))
    geometry = {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1, **changes}
    return case.returns(case.add(ConvOp, case.inputs[0], w, **geometry))


def test_single_pixels_are_computed_in_rows_of_whole_vectors() -> None:
    """Where a filter sees one pixel, rows mean nothing: those of a small map join until they fill vectors."""

    def widths(case: Case) -> set[int]:
        conv = next(op for op in case.program.ops if isinstance(op, ConvOp))
        kernel = Kernel(build_kernel(fusable_group(conv), "k", ENGINE.name), case.program.weights)
        return {plan.problem.out[1] for plan in plans(read_problem(kernel), AVX2)}

    assert widths(pointwise(4, 4)) == {4, 8, 16} and widths(pointwise(5, 5)) == {5}
    assert widths(pointwise(12, 12, strides=[2, 2])) == {6} and widths(pointwise(6, 6, pads=[1] * 4)) == {8}
    folded = [pointwise(*size) for size in ((4, 4), (2, 12), (16, 1), (3, 16), (1, 8), (24, 4))]
    check_engine(ENGINE, folded, atol=ROUNDING, threads=(1, 3), planes_out=True)


def test_what_is_added_may_lie_in_planes_of_two_phases() -> None:
    cases = []
    for width in (7, 16, 19, 24, 9, 33):
        case = Case(f"residual {width}", [((1, 5, 6, width), f32), ((1, 4, 6, width), f32)])
        w = case.constant(few_valued(np.random.default_rng(width), (4, 5, 3, 3), "ternary", False))
        y = case.add(ConvOp, case.inputs[0], w, strides=[1, 1], pads=[1] * 4, dilations=[1, 1], group=1)
        cases.append(case.returns(case.add(AddOp, y, case.inputs[1])))
    check_engine(ENGINE, cases, atol=ROUNDING, planes_out=True, schedules="first")


def test_whole_numbers_are_exact() -> None:
    """Sums of whole numbers have no rounding, whatever the order."""
    case = layer(33, 20, 19, kind="binary")
    rng = np.random.default_rng(1)
    case.feeds = [rng.integers(-99, 99, (1, 33, 19, 19)).astype(np.float32)]
    check_engine(ENGINE, [case], rtol=0, atol=0)


def test_result_does_not_depend_on_threads() -> None:
    case = layer(40, 50, 30)
    x = np.random.default_rng(0).standard_normal((1, 1, 40, 30, 30)).astype(np.float32)
    for schedule in schedules_of(ENGINE, case, NATIVE):
        library = Library(kernel_program(ENGINE, [(case, schedule)]))
        results = [library.run([x], threads=threads)[0] for threads in (1, 2, 3, 7)]
        assert all(np.array_equal(results[0], other) for other in results[1:])


@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.booleans())
def test_digits_reproduce_the_weights(seed: int, kind: str, scaled: bool) -> None:
    rng = np.random.default_rng(seed)
    w = few_valued(rng, (7, 5, 3, 3), kind, scaled)
    if kind == "ternary":
        w[3], w[4] = np.abs(w[3]), -np.abs(w[4])  # a channel of one sign fits in with the others
    digits = find_digits(w)
    assert digits is not None
    again = np.array(digits.values)[digits.digits] * digits.scale.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(again, w, rtol=1e-6, atol=0)
    assert digits.radix == (3 if kind in ("ternary", "ttq") else 2)


def test_stored_weights_take_less_than_two_bits() -> None:
    for kind, most in (("ternary", 1.65), ("ttq", 1.65), ("binary", 1.1)):
        program = kernel_program(ENGINE, [(layer(66, 80, 14, kind=kind), None)])
        kernel = next(entry for entry in emit_model(program, NATIVE).layers if entry["engine"] == "table_f32")
        assert kernel["weight_bytes_stored"] * 8 < most * 66 * 80 * 9  # type: ignore[operator]


def test_refuses_with_a_reason() -> None:
    case = layer(3, 4, 5)
    w = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    assert find_digits(w) is None
    for array, reason in ((w, "two or three values"), (np.full_like(w, np.inf), "two or three values")):
        case = Case("dense weights", [((1, 3, 5, 5), f32)])
        y = case.add(
            ConvOp, case.inputs[0], case.constant(array), strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1
        )
        with pytest.raises(AssertionError, match=reason):
            check_engine(ENGINE, [case.returns(y)])
