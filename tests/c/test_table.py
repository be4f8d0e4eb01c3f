"""The table engine against the interpreter: every weight kind, lane width, geometry, vector width and thread count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import harness
import numpy as np
import pytest
from harness import (
    NATIVE,
    Case,
    Library,
    check_engine,
    kernel_program,
    plan_offsets,
    planes_type,
    plans_of,
    random_array,
    schedules_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import SSAValue

from tercet.backends.c.engine import Engine
from tercet.backends.c.engines.loops import ENGINE as LOOPS
from tercet.backends.c.engines.table import ENGINE
from tercet.backends.c.target import find_target
from tercet.ir.kn.kernel import KernelOp, planned_offsets
from tercet.ir.kn.layout import pack
from tercet.ir.kn.requests import Planes
from tercet.ir.tn.elementwise import ReluOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import ThresholdOp
from tercet.ir.types import BIPOLAR, TERNARY, Element, element_of, int_type, shape_of, storage_dtype

WEIGHTS = {
    "ternary": (-1, 0, 1), "binary": (-1, 1), "bool": (0, 1), "negative": (-1, 0), "zero": (0,), "one": (1,),
}  # fmt: skip
ACTIVATIONS: dict[str, Element] = {
    "ternary": TERNARY, "bipolar": BIPOLAR, "2 bits": int_type(0, 3), "4 bits": int_type(-8, 7),
    "5 bits": int_type(0, 31), "int8": int_type(-128, 127), "uint8": int_type(0, 255), "positive": int_type(3, 5),
}  # fmt: skip


def conv_case(
    name: str,
    x: Sequence[int],
    w: Sequence[int],
    *,
    weights: tuple[int, ...] = (-1, 0, 1),
    element: Element = TERNARY,
    strides: tuple[int, int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    group: int = 1,
    bias: bool = False,
    thresholds: int = 0,
    sign: bool = False,
    step: int = 1,
    base: int = -1,
    signed_binary: bool = False,
    seed: int = 0,
) -> Case:
    """x: C, H, W. w: output channels, kernel height, kernel width."""
    rng = np.random.default_rng(seed)
    case = Case(name, [((1, *x), element)])
    array = rng.choice(weights, size=(w[0], x[0] // group, *w[1:])).astype(np.int8)
    if signed_binary:
        array = np.abs(array) * rng.choice((-1, 1), size=(w[0], 1, 1, 1)).astype(np.int8)
    if w[0] > 1:
        array[0] = array[0] * 0 if 0 in weights else array[0]
    operands = [case.inputs[0], case.constant(array)]
    spread = max(1, 3 * x[0] // group)
    if bias:
        operands.append(case.constant(rng.integers(-spread, spread + 1, w[0]), int_type(-spread, spread)))
    y = case.add(ConvOp, *operands, strides=strides, pads=pads, dilations=dilations, group=group)
    if thresholds:
        channels = w[0] if seed % 3 else 1
        steps = np.sort(rng.integers(-spread, spread + 1, (channels, thresholds)), axis=1)
        if channels > 2:  # some thresholds that every sum passes, or none
            steps[0, 0], steps[1, -1] = -(10**6), 10**6
        operands = [y, case.constant(steps, int_type(-(2**31), 2**31 - 1))]
        if sign:
            operands.append(case.constant(rng.choice((-1, 1), channels), int_type(-1, 1)))
        y = case.add(ThresholdOp, *operands, axis=1, base=base, step=step)
    return case.returns(y)


def grid() -> list[Case]:
    cases = []
    for i, (kind, values) in enumerate(WEIGHTS.items()):
        for j, (range_name, element) in enumerate(ACTIVATIONS.items()):
            n = (0, 2, 7)[(i + j) % 3]
            cases.append(
                conv_case(
                    f"{kind} x {range_name}, {n} thresholds", (5, 7, 9), (9, 3, 3), weights=values, element=element,
                    pads=(1, 1, 1, 1), bias=bool((i + j) % 2), thresholds=n, sign=bool(j % 2), seed=i + j,
                )
            )  # fmt: skip
    return cases


def geometries() -> list[Case]:
    return [
        conv_case("one pixel, one channel", (1, 1, 1), (1, 1, 1), thresholds=2),
        conv_case("1x1", (17, 5, 6), (12, 1, 1), thresholds=1),
        conv_case("1x1, stride 2", (8, 9, 7), (6, 1, 1), strides=(2, 2)),
        conv_case("3x3, stride 2, asymmetric pads", (4, 9, 8), (5, 3, 3), strides=(2, 2), pads=(0, 1, 2, 1)),
        conv_case("stride 3", (3, 11, 13), (4, 5, 5), strides=(3, 3), pads=(2, 2, 2, 2), thresholds=3),
        conv_case("dilated", (3, 12, 11), (4, 3, 3), dilations=(2, 3), pads=(2, 3, 2, 3)),
        conv_case("1-D, stride 2", (6, 1, 40), (7, 1, 9), strides=(2, 2), pads=(0, 4, 0, 4), thresholds=2),
        conv_case("1-D, other stride", (6, 1, 40), (7, 1, 9), strides=(1, 3), pads=(0, 4, 0, 4)),
        conv_case("groups", (12, 6, 6), (8, 3, 3), group=4, pads=(1, 1, 1, 1), thresholds=2),
        conv_case("depthwise", (10, 8, 8), (10, 3, 3), group=10, pads=(1, 1, 1, 1), weights=(-1, 1)),
        conv_case("fully connected", (24, 3, 3), (20, 3, 3), thresholds=2, sign=True),
        conv_case("wide map", (3, 20, 70), (5, 3, 3), pads=(1, 1, 1, 1), thresholds=2),
        conv_case("many inputs", (150, 4, 4), (6, 3, 3), element=int_type(-40, 127), pads=(1, 1, 1, 1)),
        conv_case("sums beyond 16 bits", (64, 4, 5), (4, 3, 3), element=int_type(-128, 127), weights=(-1, 1)),
        conv_case("16-bit thresholds", (64, 4, 5), (4, 3, 3), element=int_type(0, 255), thresholds=15, bias=True),
        conv_case("signed binary", (16, 6, 7), (9, 3, 3), signed_binary=True, thresholds=3, sign=True, seed=2),
        conv_case("signed binary sums", (16, 6, 7), (9, 3, 3), signed_binary=True, bias=True, pads=(1, 0, 1, 0)),
        conv_case("bipolar levels", (16, 6, 7), (9, 3, 3), thresholds=1, base=-1, step=2, sign=True, seed=1),
        conv_case("falling levels", (16, 6, 7), (9, 3, 3), thresholds=4, base=200, step=-3, sign=True, seed=1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "planes_out"), [(16, False), (32, True), pytest.param(64, True, marks=pytest.mark.check)]
)
def test_geometries(width: int, planes_out: bool) -> None:
    check_engine(
        ENGINE, geometries(), target=replace(NATIVE, vector_bytes=width), threads=(1, 2, 3), planes_out=planes_out,
        slack=width == 32, schedules="first",
    )  # fmt: skip


@pytest.mark.slow
def test_all_schedules() -> None:
    names = ("3x3, stride 2, asymmetric pads", "groups", "16-bit thresholds", "signed binary sums")
    check_engine(ENGINE, [case for case in geometries() if case.name in names])


@pytest.mark.slow
@pytest.mark.parametrize("width", [16, 32, pytest.param(64, marks=pytest.mark.check)])
def test_kinds(width: int) -> None:
    cases = grid()[:: 1 if width == NATIVE.vector_bytes else 5]
    check_engine(ENGINE, cases, target=replace(NATIVE, vector_bytes=width), schedules="first", planes_out=True)


class Spy(Library):
    """A library that keeps the arena of its last run."""

    arena: np.ndarray

    def _check_gaps(self, arena: np.ndarray) -> None:
        self.arena = arena.copy()
        super()._check_gaps(arena)


def check_borders(engine: Engine, case: Case, request: Planes, slack: int = 0) -> None:
    """A kernel's whole result, borders included, in memory that held other values before.

    `case` has one input and one result, which is written in the layout of a request with zeros around the pixels.
    """
    junk = Case("junk", [((1, 16, 40, 40), int_type(7, 7))])
    junk.returns(junk.add(ReluOp, junk.inputs[0]))
    program = kernel_program(LOOPS, [(junk, None)])
    first = next(op for op in program.ops if isinstance(op, KernelOp))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "_planes_out", lambda kind, _: planes_type(kind, request, slack))
        tested = kernel_program(engine, [(case, None)], planes_out=True)
    # one program: junk, then the case, whose result takes the junk's place
    values: dict[SSAValue, SSAValue] = {v: program.block.insert_arg(v.type, 1) for v in tested.block.args}
    copies: list[KernelOp] = []
    for op in tested.ops:
        copy = op.clone(values)
        program.block.insert_op_before(copy, program.returned)
        values.update(zip(op.results, copy.results, strict=True))
        copies += [copy] if isinstance(copy, KernelOp) else []
    for name in tested.weights:
        program.weights.add(name, tested.weights[name])
    outputs = [*program.returned.operands, *(values[v] for v in tested.returned.operands)]
    program.returned.detach()
    program.finish([(f"y{i}", v, storage_dtype(element_of(v))) for i, v in enumerate(outputs)])
    plan_offsets(program)
    kernel = copies[-1]
    kernel.properties["offsets"] = first.properties["offsets"]
    library, kind = Spy(program), kernel.results[0].type
    array = random_array(np.random.default_rng(0), shape_of(case.inputs[0]), element_of(case.inputs[0]))
    library.run([np.full((1, 1, 16, 40, 40), 7, np.int8), array[None]], threads=2)
    want = pack(case.expected([array])[0], kind)
    start = planned_offsets(kernel)[0]
    have = library.arena[start : start + want.nbytes].view(want.dtype)
    np.testing.assert_array_equal(have, want, err_msg=f"{case.name}, {request}")
    assert want.nbytes <= 16 * 40 * 40 and (want == 0).any()


BORDERS = [
    (Planes(1, 1, 1, 1, zero=True), 0),  # the input's own geometry: whole vectors are stored
    (Planes(2, 0, 1, 3, zero=True), 1),
    (Planes(1, 1, 1, 1, stride=2, zero=True), 0),
    (Planes(0, 2, 3, 0, stride=3, zero=True), 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "slack"), BORDERS)
def test_borders(request_: Planes, slack: int) -> None:
    case = conv_case("borders", (4, 17, 21), (6, 3, 3), pads=(1, 1, 1, 1), thresholds=2)
    check_borders(ENGINE, case, request_, slack)


@pytest.mark.slow
def test_generic_target() -> None:
    check_engine(ENGINE, geometries()[::3], target=find_target("generic"), schedules="first")


@pytest.mark.check
@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_random_convolutions(data: st.DataObject) -> None:
    draw, cases = data.draw, []
    for i in range(4):
        group = draw(st.sampled_from((1, 1, 2, 3)))
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
        stride = draw(st.integers(1, 3))
        pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
        size = [
            max(draw(st.integers(1, 14)), dilations[a] * (kernel[a] - 1) + 1 - pads[a] - pads[a + 2]) for a in (0, 1)
        ]
        cases.append(
            conv_case(
                f"random {i}", (group * draw(st.integers(1, 9)), *size), (group * draw(st.integers(1, 9)), *kernel),
                weights=draw(st.sampled_from(list(WEIGHTS.values()))),
                element=draw(st.sampled_from(list(ACTIVATIONS.values()))),
                strides=(stride, stride), pads=pads, dilations=dilations, group=group, bias=draw(st.booleans()),
                thresholds=draw(st.integers(0, 4)), sign=draw(st.booleans()), seed=draw(st.integers(0, 99)),
                signed_binary=draw(st.booleans()),
            )
        )  # fmt: skip
    check_engine(ENGINE, cases, schedules="first", planes_out=draw(st.booleans()), slack=draw(st.integers(0, 1)))


def test_refuses() -> None:
    def reason(case: Case) -> str:
        with pytest.raises(AssertionError) as error:
            schedules_of(ENGINE, case, NATIVE)
        return str(error.value)

    assert "8 bits" in reason(conv_case("wide activations", (2, 4, 4), (2, 1, 1), element=int_type(-300, 300)))
    assert "strides" in reason(conv_case("strides", (2, 8, 8), (2, 1, 1), strides=(1, 2)))
    assert "{-1, 0, 1}" in reason(conv_case("weights", (2, 4, 4), (2, 1, 1), weights=(0, 2)))


def test_few_pixels_cost() -> None:
    """A small map wastes lanes: its cost per multiply is higher."""

    def per_multiply(size: int) -> float:
        case = conv_case("cost", (64, size, size), (64, 3, 3), pads=(1, 1, 1, 1))
        return costs(case) / (size * size)

    assert per_multiply(3) > 1.4 * per_multiply(28)


def costs(case: Case) -> float:
    return min(plan.cycles for plan in plans_of(ENGINE, case, NATIVE))
