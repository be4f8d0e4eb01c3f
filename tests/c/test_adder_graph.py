"""The adder-graph engine against the interpreter: weight kinds, lane widths, geometries, vector widths, threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness import NATIVE, Case, check_engine, schedules_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_epilogues import residual_case, shortcut_cases
from test_table import ACTIVATIONS, BORDERS, WEIGHTS, check_borders, conv_case
from test_table import geometries as table_geometries
from test_table import grid as table_grid

from tercet.backends.c.engine import Kernel
from tercet.backends.c.engines.adder_graph import ENGINE
from tercet.backends.c.engines.adder_graph.order import components, evaluation_order, traffic
from tercet.backends.c.engines.adder_graph.plan import read_plan
from tercet.backends.c.engines.adder_graph.statements import MOST_TERMS, statements_of
from tercet.backends.c.lowering.select_engines import fusable_group
from tercet.backends.c.sum_search import NativeSearch
from tercet.backends.c.target import find_target
from tercet.ir.errors import IRError
from tercet.ir.kn.requests import Planes
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import int_type
from tercet.passes.grouping import build_kernel
from tercet.passes.sum_merge import SumMerge, merge_sums


def factored(case: Case) -> Case:
    """The case with the graph that the engine needs."""
    SumMerge(NativeSearch).apply(case.program)
    return case


def geometries() -> list[Case]:
    return [factored(case) for case in table_geometries()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "planes_out"), [(16, False), (32, True), pytest.param(64, True, marks=pytest.mark.check)]
)
def test_geometries(width: int, planes_out: bool) -> None:
    cases = geometries()[:: 1 if width == NATIVE.vector_bytes else 3]
    check_engine(
        ENGINE, cases, target=replace(NATIVE, vector_bytes=width), threads=(1, 3), planes_out=planes_out,
        slack=width == 32,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("width", [16, 32, pytest.param(64, marks=pytest.mark.check)])
def test_kinds(width: int) -> None:
    cases = [factored(case) for case in table_grid()[:: 2 if width == NATIVE.vector_bytes else 7]]
    check_engine(ENGINE, cases, target=replace(NATIVE, vector_bytes=width), planes_out=True)


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "slack"), BORDERS)
def test_borders(request_: Planes, slack: int) -> None:
    case = conv_case("borders", (4, 17, 21), (6, 3, 3), pads=(1, 1, 1, 1), thresholds=2)
    check_borders(ENGINE, factored(case), request_, slack)


@pytest.mark.slow
def test_generic_target() -> None:
    check_engine(ENGINE, geometries()[1::4], target=find_target("generic"))


@pytest.mark.slow
def test_more_than_one_block_and_function() -> None:
    case = conv_case("blocks", (40, 9, 9), (48, 3, 3), pads=(1, 1, 1, 1), thresholds=2, sign=True, bias=True)
    check_engine(ENGINE, [factored(case)], planes_out=True)


@pytest.mark.slow
@pytest.mark.parametrize("slack", [0, 2])
def test_selected_thresholds(slack: int) -> None:
    cases = [
        factored(residual_case(f"{seed}", (4, 6, 30 + seed), (9, 3, 3), shortcut="ternary", end="select", seed=seed))
        for seed in range(4)
    ]
    check_engine(ENGINE, cases, planes_out=bool(slack), slack=slack)


@pytest.mark.slow
@pytest.mark.parametrize("planes_out", [False, pytest.param(True, marks=pytest.mark.check)])
def test_epilogues(planes_out: bool) -> None:
    cases = [factored(case) for case in shortcut_cases()]
    check_engine(ENGINE, cases, planes_out=planes_out, slack=int(planes_out))


@pytest.mark.check
@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_random_convolutions(data: st.DataObject) -> None:
    draw, cases = data.draw, []
    for i in range(4):
        group = draw(st.sampled_from((1, 1, 2, 3)))
        kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
        stride, pads = draw(st.integers(1, 3)), draw(st.tuples(*[st.integers(0, 3)] * 4))
        size = [max(draw(st.integers(1, 40)), kernel[a] - pads[a] - pads[a + 2]) for a in (0, 1)]
        case = conv_case(
            f"random {i}", (group * draw(st.integers(1, 9)), *size), (group * draw(st.integers(1, 9)), *kernel),
            weights=draw(st.sampled_from(list(WEIGHTS.values()))),
            element=draw(st.sampled_from(list(ACTIVATIONS.values()))), strides=(stride, stride), pads=pads, group=group,
            bias=draw(st.booleans()), thresholds=draw(st.integers(0, 4)), sign=draw(st.booleans()),
            step=draw(st.sampled_from((1, -1, 3))), seed=draw(st.integers(0, 99)),
        )  # fmt: skip
        cases.append(factored(case))
    check_engine(ENGINE, cases, planes_out=draw(st.booleans()), slack=draw(st.integers(0, 1)))


def test_a_graph_of_other_weights_is_refused() -> None:
    case = factored(conv_case("wrong", (3, 4, 4), (4, 3, 3)))
    conv = next(op for op in case.program.ops if isinstance(op, ConvOp))
    name = conv.get("sums")
    wrong = case.program.weights[name].copy()
    wrong[3] ^= 1  # an addition becomes a subtraction
    del case.program.weights[name]
    case.program.weights[name] = wrong
    with pytest.raises(IRError, match="does not compute its weights"):
        schedules_of(ENGINE, case, NATIVE)


def test_refuses() -> None:
    with pytest.raises(AssertionError, match="sum-merge has factored"):
        schedules_of(ENGINE, conv_case("no graph", (3, 4, 4), (4, 3, 3)), NATIVE)
    with pytest.raises(AssertionError, match="8 bits"):
        schedules_of(ENGINE, factored(conv_case("wide", (2, 4, 4), (2, 1, 1), element=int_type(-300, 300))), NATIVE)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_orders_are_complete_and_operands_come_first(rows: int, columns: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).integers(-1, 2, (rows, columns))
    graph = merge_sums(matrix, trials=5, search=NativeSearch)
    statements = statements_of(graph, [1] * (graph.inputs + graph.adds))
    seen = set(range(graph.inputs))
    for nodes in components(statements):
        for node in evaluation_order(statements, nodes):
            assert {value for value, _ in statements[node]} <= seen and node not in seen
            seen.add(node)
    assert len(seen) == graph.inputs + len(statements)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32 - 1), st.booleans())
def test_statements_compute_the_graph(rows: int, columns: int, seed: int, wide: bool) -> None:
    random = np.random.default_rng(seed)
    graph = merge_sums(random.integers(-1, 2, (rows, columns)), trials=5, search=NativeSearch)
    values = graph.inputs + graph.adds
    lanes = random.integers(1, 3, values).tolist() if wide else [1] * values
    statements, x = statements_of(graph, lanes), random.integers(-9, 10, columns)
    sums = dict(enumerate(x.tolist()))
    for node, terms in statements.items():
        assert not terms[0].negative and len(terms) <= MOST_TERMS
        sums[node] = sum(-sums[value] if negative else sums[value] for value, negative in terms)
    signs = np.where(graph.negate, -1, 1).tolist()
    ends = [sign * sums[v] if v >= 0 else 0 for v, sign in zip(graph.outputs.tolist(), signs, strict=True)]
    assert ends == graph.evaluate(x).tolist()
    assert sum(len(terms) - 1 for terms in statements.values()) == graph.adds


def test_sums_of_inputs_join_the_statement_that_uses_them() -> None:
    graph = merge_sums(np.array([[1, 1, -1, 0, 1, 1], [1, 1, -1, 1, 0, -1]]), search=NativeSearch)
    values = graph.inputs + graph.adds
    shared, *ends = statements_of(graph, [1] * values).values()
    assert sorted(term.value for term in shared) == [0, 1, 2]  # used twice: it has a statement of its own
    assert [len(terms) for terms in ends] == [3, 3]
    assert all(graph.inputs + 1 in [term.value for term in terms] for terms in ends)  # it: the second node
    assert all(len(terms) == 2 for terms in statements_of(graph, [2] * values).values())  # lanes that no load widens


def test_components_share_no_sums() -> None:
    block = np.array([[1, 1, 1], [1, 1, -1]])
    graph = merge_sums(np.kron(np.eye(3, dtype=int), block), search=NativeSearch)
    statements = statements_of(graph, [2] * (graph.inputs + graph.adds))
    assert [len(nodes) for nodes in components(statements)] == [3, 3, 3]


def test_a_good_order_needs_less_memory_than_the_graph_s_own() -> None:
    matrix = np.random.default_rng(0).integers(-1, 2, (16, 144))
    graph = merge_sums(matrix, trials=50, search=NativeSearch)
    statements = statements_of(graph, [1] * (graph.inputs + graph.adds))
    order = [node for nodes in components(statements) for node in evaluation_order(statements, nodes)]
    good, own = (traffic(statements, o, 14) for o in (order, list(statements)))
    assert good.alive < own.alive and good.stores < own.stores
    assert traffic(statements, order, 10**6).stores == 0


def test_inputs_that_leave_the_first_cache_cost_more() -> None:
    case = factored(conv_case("many channels", (64, 14, 14), (8, 3, 3), pads=(1, 1, 1, 1), thresholds=2))
    conv = next(op for op in case.program.ops if isinstance(op, ConvOp))
    kernel = Kernel(build_kernel(fusable_group(conv), "k", ENGINE.name), case.program.weights)
    near, far = (read_plan(kernel, replace(NATIVE, l1=size)).cost(NATIVE.costs[ENGINE.name]) for size in (32768, 4096))
    assert far > 1.1 * near


def test_code_that_leaves_the_second_cache_is_refused() -> None:
    case = factored(conv_case("much code", (16, 6, 6), (16, 3, 3), thresholds=2))
    with pytest.raises(AssertionError, match="bytes of code"):
        schedules_of(ENGINE, case, replace(NATIVE, l2=4096))
