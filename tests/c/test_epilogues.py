"""What follows a convolution in engines that leave it to an epilogue: scales, batch norms, shortcuts, quantizers."""

from __future__ import annotations

import numpy as np
import pytest
from harness import Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32

from tercet.backends.c.engine import Engine
from tercet.backends.c.engines.bit_sliced import ENGINE as BIT_SLICED
from tercet.backends.c.engines.dense_f32 import ENGINE as DENSE_F32
from tercet.backends.c.engines.dense_int8 import ENGINE as DENSE_INT8
from tercet.backends.c.engines.loops import ENGINE as LOOPS
from tercet.backends.c.engines.table import ENGINE as TABLE
from tercet.backends.c.engines.table_f32 import ENGINE as TABLE_F32
from tercet.backends.c.target import find_target
from tercet.ir.tn.elementwise import AddOp, HardSwishOp, MulOp, ReluOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, SelectThresholdOp, ThresholdOp
from tercet.ir.types import BIPOLAR, TERNARY, Element, int_type, shape_of

ENGINES = (TABLE, BIT_SLICED, DENSE_INT8, LOOPS)
SHORTCUTS: dict[str, Element | None] = {
    "none": None, "float": f32, "ternary": TERNARY, "bipolar": BIPOLAR, "byte": int_type(0, 255),
}  # fmt: skip
ENDS = ("float", "quantize", "both", "threshold", "select", "integer")


def residual_case(
    name: str,
    x: tuple[int, int, int],
    w: tuple[int, int, int],
    *,
    element: Element = TERNARY,
    shortcut: str = "none",
    end: str = "quantize",
    bias: bool = False,
    seed: int = 0,
    stride: int = 1,
    pads: tuple[int, int, int, int] = (1, 1, 1, 1),
    group: int = 1,
) -> Case:
    """conv -> scale -> batch norm [-> + shortcut] -> activation [-> quantizer]; both: two results; select: the shortcut
    selects thresholds; integer: no scale. x: C, H, W; w: outputs and kernel size."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-1, 1, (w[0], x[0] // group, *w[1:]), endpoint=True).astype(np.int8)
    operands = [weights, rng.integers(-9, 9, w[0])] if bias else [weights]
    geometry = {"strides": (stride, stride), "pads": pads, "dilations": (1, 1), "group": group}
    probe = Case("probe", [((1, *x), element)])
    out = shape_of(probe.add(ConvOp, probe.inputs[0], *map(probe.constant, operands), **geometry))
    kind = SHORTCUTS[shortcut]
    case = Case(f"{name}, shortcut {shortcut}, end {end}", [((1, *x), element), *([(out, kind)] if kind else [])])
    other = case.inputs[-1]
    if kind not in (None, f32) and end not in ("integer", "select"):  # comes first, as where a kernel takes it in
        other = case.add(DequantizeOp, other, case.constant(np.array(0.5, np.float32)))
    y = case.add(ConvOp, case.inputs[0], *map(case.constant, operands), **geometry)
    if end == "select" and shortcut == "ternary":
        steps = np.sort(rng.integers(-9, 9, (w[0] if seed % 3 else 1, 3, 1 + seed % 3)), axis=2)
        sign = [case.constant(rng.choice((-1, 1), w[0]))] if seed % 2 else []
        tables = [case.constant(steps), *sign]
        return case.returns(case.add(SelectThresholdOp, y, case.inputs[1], *tables, axis=1, base=-1, step=1, first=-1))
    if end in ("integer", "select"):
        return case.returns(case.add(AddOp, y, case.inputs[1]) if kind not in (None, f32) else case.add(ReluOp, y))

    def floats(shape: tuple[int, ...]) -> np.ndarray:
        return (rng.random(shape) + 0.25).astype(np.float32)

    y = case.add(DequantizeOp, y, case.constant(floats((w[0], 1, 1))))
    y = case.add(BatchNormOp, y, *(case.constant(floats((w[0],))) for _ in range(4)), epsilon=1e-5)
    y = case.add(AddOp, y, other) if kind is not None else y
    y = case.add(HardSwishOp, y) if seed % 2 else case.add(MulOp, y, case.constant(np.array(0.25, np.float32)))
    if end == "float":
        return case.returns(y)
    if end == "threshold":
        steps = np.sort(rng.standard_normal((w[0], 2)).astype(np.float32), axis=1)
        return case.returns(case.add(ThresholdOp, y, case.constant(steps), axis=1, base=-1, step=1))
    # a scale of two to a power: the float chains are then equal to the last bit, and so are the quantized values
    quantized = case.add(QuantizeOp, y, case.constant(np.array(4.0, np.float32)), lo=-1, hi=1)
    return case.returns(y, quantized) if end == "both" else case.returns(quantized)


LONG = ("bit_sliced", "dense_int8", "table")
"""Engines whose C takes long to compile."""


def shortcut_cases() -> list[Case]:
    return [
        residual_case(f"case {i}", (7, 6, 5 + i), (9, 3, 3), shortcut=shortcut, end=end, bias=bool(i % 2), seed=i)
        for i, (shortcut, end) in enumerate((s, e) for s in SHORTCUTS for e in ENDS)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine",
    [pytest.param(e, marks=[pytest.mark.check] if e.name in LONG else [], id=e.name) for e in ENGINES],
)
@pytest.mark.parametrize(
    ("target", "planes_out"), [("native", False), pytest.param("generic", True, marks=pytest.mark.check)]
)
def test_shortcuts_and_ends(engine: Engine, target: str, planes_out: bool) -> None:
    check_engine(
        engine, shortcut_cases(), target=find_target(target), planes_out=planes_out, slack=int(planes_out),
        schedules="first", threads=(1, 3),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_shortcut_of_another_kind_than_the_input(engine: Engine) -> None:
    cases = [
        residual_case(f"{a}", (7, 6, 5), (9, 3, 3), element=a, shortcut=b, pads=(0, 0, 0, 0))
        for a, b in ((TERNARY, "bipolar"), (BIPOLAR, "ternary"), (BIPOLAR, "bipolar"))
    ]
    check_engine(engine, cases, schedules="first")


def own_operand_case(element: Element, channels: int, size: tuple[int, int], pads: tuple[int, int, int, int]) -> Case:
    """A convolution whose own input comes back after it, and broadcasts: one channel for all of the result's, or one
    pixel."""
    case = Case(f"own {element} {channels} {size} {pads}", [((1, channels, *size), element)])
    x, rng = case.inputs[0], np.random.default_rng(0)
    w = rng.integers(-1, 1, (6, channels, 3, 3) if size == (1, 1) else (6, channels, 1, 1), endpoint=True)
    w = w.astype(np.float32 if element == f32 else np.int8)
    y = case.add(ConvOp, x, case.constant(w), strides=(1, 1), pads=pads, dilations=(1, 1), group=1)
    return case.returns(case.add(ReluOp, case.add(AddOp, y, x)))


OWN_OPERANDS = [
    (1, (5, 7), (0, 0, 0, 0)),
    (6, (1, 1), (2, 3, 3, 2)),
    (1, (1, 1), (2, 2, 2, 2)),
    (6, (4, 5), (0, 0, 0, 0)),
]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_the_input_of_a_convolution_comes_back(engine: Engine) -> None:
    cases = [own_operand_case(TERNARY, *shape) for shape in OWN_OPERANDS]
    check_engine(engine, cases, schedules="first", threads=(1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("engine", [DENSE_F32, TABLE_F32, LOOPS], ids=lambda engine: engine.name)
def test_the_float_input_of_a_convolution_comes_back(engine: Engine) -> None:
    cases = [own_operand_case(f32, *shape) for shape in OWN_OPERANDS]
    check_engine(engine, cases, schedules="first", threads=(1, 3))


@pytest.mark.check
@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_random_epilogues(engine: Engine, data: st.DataObject) -> None:
    draw, cases = data.draw, []
    for i in range(4):
        group, kernel, pads = draw(st.sampled_from((1, 1, 2))), draw(st.integers(1, 3)), draw(st.integers(0, 2))
        size = [max(draw(st.integers(1, 40)), kernel - 2 * pads) for _ in range(2)]
        elements = [TERNARY, BIPOLAR] if engine is BIT_SLICED else [TERNARY, BIPOLAR, int_type(-128, 127)]
        cases.append(
            residual_case(
                f"random {i}", (group * draw(st.integers(1, 6)), *size),  # type: ignore[arg-type]
                (group * draw(st.integers(1, 6)), kernel, kernel), element=draw(st.sampled_from(elements)),
                shortcut=draw(st.sampled_from(list(SHORTCUTS))), end=draw(st.sampled_from(ENDS)),
                bias=draw(st.booleans()), seed=draw(st.integers(0, 99)), stride=draw(st.integers(1, 2)),
                pads=(pads, pads, pads, pads), group=group,
            )
        )  # fmt: skip
    check_engine(engine, cases, schedules="first", planes_out=draw(st.booleans()), slack=draw(st.integers(0, 1)))


@pytest.mark.parametrize("engine", [DENSE_INT8, DENSE_F32, LOOPS], ids=lambda engine: engine.name)
def test_sums_at_their_thresholds(engine: Engine) -> None:
    """Sums that are thresholds, and their neighbours: rising and falling, few thresholds and many."""
    rng, kernels = np.random.default_rng(0), []
    element = f32 if engine is DENSE_F32 else int_type(-12, 12)
    for count in (1, 3, 20):
        for falling in (False, True):
            case = Case(f"{count} thresholds, falling {falling}", [((1, 3, 7, 9), element)])
            x = np.rint(rng.uniform(-12, 12, (1, 3, 7, 9)))
            same = case.constant(np.eye(3, dtype=np.float32 if element is f32 else np.int8)[:, :, None, None])
            y = case.add(ConvOp, case.inputs[0], same, strides=(1, 1), pads=(0,) * 4, dilations=(1, 1), group=1)
            table = np.sort(rng.permuted(np.tile(np.arange(-12, 13), (3, 1)), axis=1)[:, :count], axis=1)
            tables = [case.constant(table.astype(np.float32 if element is f32 else np.int32))]
            tables += [case.constant(np.array([-1, 1, -1], np.int8))] if falling else []
            case.returns(case.add(ThresholdOp, y, *tables, axis=1, base=0, step=1))
            case.feeds = [x.astype(np.float32 if element is f32 else np.int8)]
            assert np.isin(x, table).any(), "no sum is at a threshold: nothing is tested"
            kernels.append(case)
    check_engine(engine, kernels, schedules="first")


def test_what_is_no_epilogue_is_refused() -> None:
    case = Case("two convolutions", [((1, 3, 5, 5), TERNARY)])
    weights = case.constant(np.ones((3, 3, 1, 1), np.int8))
    geometry = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    y = case.add(ConvOp, case.add(ConvOp, case.inputs[0], weights, **geometry), weights, **geometry)
    case.returns(y)
    for engine in (TABLE, BIT_SLICED, DENSE_INT8):
        with pytest.raises(AssertionError, match="refuses"):
            schedules_of(engine, case, find_target("native"))
