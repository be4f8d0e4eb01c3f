"""The bit-sliced engine against the interpreter: every kind of product, geometry, vector width and thread count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import NATIVE, Case, _kernel, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from suite.layers import KINDS, Conv, Layer, kind_model
from test_table import BORDERS, WEIGHTS, check_borders, conv_case

import tercet
from tercet.backends.c.convolutions.problem import read_problem
from tercet.backends.c.engine import Kernel
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.engines.bit_sliced import ENGINE
from tercet.backends.c.engines.bit_sliced.forms import BLOCK, Form
from tercet.backends.c.lowering.pipeline import stages
from tercet.ir.kn.kernel import ConvertOp, KernelOp
from tercet.ir.kn.layout import bit_rows_of
from tercet.ir.kn.requests import Planes
from tercet.ir.program import Program
from tercet.ir.types import BIPOLAR, BOOL, TERNARY, element_of, int_type
from tercet.passes.pipeline import run_passes

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
        chunk = max(int(schedule.get("chunk", 0)) for schedule in schedules_of(ENGINE, case, NATIVE))
        if n > chunk:
            cases.setdefault(min(n % chunk, 2), case)
    assert sorted(cases) == [0, 1, 2]
    check_engine(ENGINE, list(cases.values()), threads=(1,))


FORMS = {  # of weights, by what is listed
    "binary": (conv_case("", (20, 9, 11), (7, 3, 3), weights=(-1, 1), seed=1), (True, 1)),
    "ternary": (conv_case("", (20, 9, 11), (7, 3, 3), seed=1), (False, 2)),
    "signed-binary": (conv_case("", (20, 9, 11), (7, 3, 3), signed_binary=True, seed=2), (False, 2)),
    "positive": (conv_case("", (20, 9, 11), (7, 3, 3), weights=(0, 1), seed=1), (False, 1)),
    "negative": (conv_case("", (20, 9, 11), (7, 3, 3), weights=(-1, 0), seed=1), (False, 2)),
    "zero": (conv_case("", (20, 9, 11), (7, 3, 3), weights=(0,), seed=1), (False, 1)),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_listed(name: str) -> None:
    """Only the ones of binary filters, only what is not zero of others: a list as long as a filter's smaller side."""
    case, (doubled, signs) = FORMS[name]
    form = _form(case)
    assert (form.doubled, form.signs) == (doubled, signs)
    listed = form.lists(100, 1)
    assert listed.lists is not None
    planes = listed.lists.sizes(listed.values).sum(axis=1) * listed.lists.block * form.planes
    wanted = (form.flat > 0).sum(axis=1) if doubled else (form.flat != 0).sum(axis=1)
    assert (planes >= wanted * form.planes).all() and (planes < wanted * form.planes + 2 * BLOCK).all()


def _form(case: Case) -> Form:
    program = Program.new("probe", case.program.inputs)
    op = _kernel(ENGINE, case, {}, program.block.args, program, "probe")
    problem = read_problem(Kernel(op, program.weights))
    return Form(problem, element_of(problem.root.x) == BIPOLAR)


@pytest.mark.slow
@pytest.mark.parametrize("width", [16, *(pytest.param(w, marks=pytest.mark.check) for w in (32, 64))])
def test_lists(width: int) -> None:
    """Every kind of weights and activations, with padding that is not always what a bit says, and ends of tiles."""
    cases, target = [], replace(NATIVE, vector_bytes=width)
    elements, sizes = list(ACTIVATIONS.values()), [(5, 56), (31, 9), (17, 33), (6, 64), (9, 57), (4, 130)]
    for i, values in enumerate(((-1, 1), (-1, 0, 1), (0, 1), (-1, 0))):
        for j, element in enumerate(elements):
            size = sizes[(i + j) % len(sizes)]
            cases.append(
                conv_case(
                    f"{values} x {element}, {size}", (4, *size), (6, 3, 3), weights=values, element=element,
                    pads=((1, 1, 1, 1), (2, 0, 1, 3))[(i + j) % 2], thresholds=(1, 2, 0, 2)[j], seed=i + j,
                    base=(-1, -1, 0, -1)[j], step=2 if j == 0 else 1, sign=bool(i % 2), bias=True,
                )
            )  # fmt: skip
    cases += [
        conv_case("one sign a filter", (9, 14, 14), (8, 3, 3), signed_binary=True, pads=(1, 1, 1, 1), thresholds=2),
        conv_case("bipolar, wide taps", (3, 20, 40), (4, 5, 7), weights=(-1, 1), element=BIPOLAR, pads=(2, 3, 2, 3)),
        conv_case(
            "bipolar, groups", (8, 12, 12), (8, 3, 3), group=4, element=BIPOLAR, pads=(1,) * 4, thresholds=1, step=2
        ),
        conv_case(
            "bipolar, stride", (4, 13, 15), (6, 3, 3), weights=(-1, 1), element=BIPOLAR, strides=(2, 2), pads=(1,) * 4
        ),
    ]
    check_engine(ENGINE, cases, target=target, threads=(1, 2, 3), bits_out=width != 32, schedules="first")


@pytest.mark.slow
def test_a_chain_stays_in_rows_of_bits() -> None:
    """Maps between layers of the engine are neither bytes nor converted; so are shortcuts."""
    program = tercet.import_model(kind_model(Layer("", (Conv(16, 16, 3, 1, 24),) * 3), KINDS["ternary/ternary"]))
    run_passes(program, stages(NATIVE, [e for e in ENGINES if e.name in ("bit_sliced", "loops")]))
    layouts = [bit_rows_of(r.type) for op in program.ops if isinstance(op, KernelOp) for r in op.results]
    assert sum(layout is not None for layout in layouts) == 2
    assert sum(isinstance(op, ConvertOp) for op in program.ops) <= 1  # the quantized input


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
