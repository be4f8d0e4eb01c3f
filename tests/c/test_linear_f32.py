"""The linear_f32 engine against the interpreter: kinds of weights, shapes, epilogues, vector widths, threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from dense_cases import FEW, TARGETS, float_epilogue, many
from harness import NATIVE, Case, Library, check_engine, kernel_program, run_kernel, schedules_of
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from portable import portable
from test_table_f32 import few_valued
from xdsl.dialects.builtin import f32

import tercet
from tercet.backends.c.emit import emit_model
from tercet.backends.c.engines.linear_f32 import ENGINE
from tercet.backends.c.engines.linear_f32.plan import PERMUTE
from tercet.backends.c.target import Target, find_target, runs_here
from tercet.ir.tn.elementwise import AddOp, ReluOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.quant import QuantizeOp
from tercet.ir.types import shape_of

ROUNDING = 1e-3  # sums of a thousand terms of size 20, in another order
KINDS = ["ternary", "binary", "signed-binary", "ttq", "two", "zero"]
FIELDS = {
    "ternary": "trits", "binary": "signs", "signed-binary": "masks", "ttq": "choice", "two": "either", "zero": "masks",
}  # fmt: skip
"""The form that each kind takes without a permutation of registers."""


@st.composite
def linear_cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind, scaled = draw(st.sampled_from(KINDS)), draw(st.booleans())
    after = draw(st.sampled_from(["norm", "scale", "swish", "relu"]))
    inputs = draw(st.sampled_from([1, 2, 3, 8, 37, 200, 515, 1030]))
    outputs = draw(st.sampled_from([1, 7, 10, 64, 131, 150]))
    rows = draw(st.sampled_from([(), (1,), (2,), (3,), (7,), (2, 5), (40,)]))
    name = f"{rows} {inputs} {outputs} {kind} {scaled} {after}"
    if draw(st.integers(0, 3)) == 0:
        images = rows[0] if rows else 1
        case = Case(f"conv {name}", [((images, inputs, 2, 1), f32)])
        w = few_valued(rng, (outputs, inputs, 2, 1), kind, scaled)
        bias = [case.constant(rng.standard_normal(outputs).astype(np.float32))] if draw(st.booleans()) else []
        y = case.add(
            ConvOp, case.inputs[0], case.constant(w), *bias, strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1
        )
        return case.returns(float_epilogue(case, y, 1, rng, after))
    vector = draw(st.integers(0, 5)) == 0  # weights of one column without an axis for it
    w = few_valued(rng, (1 if vector else outputs, inputs), kind, scaled)
    residual = not vector and draw(st.booleans())
    case = Case(f"matmul {name}", [((*rows, inputs), f32), *([((*rows, outputs), f32)] if residual else [])])
    y = case.add(MatMulOp, case.inputs[0], case.constant(w[0] if vector else np.ascontiguousarray(w.T)))
    y = case.add(AddOp, y, case.inputs[1]) if residual else y
    return case.returns(float_epilogue(case, y, len(shape_of(y)) - 1, rng, after))


def schedules(target: Target) -> str:
    return "all" if target is NATIVE else "first"


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(many(linear_cases()))
@FEW
def test_equals_the_interpreter(target: Target, kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, target=target, threads=(1, 2, 3), atol=ROUNDING, schedules=schedules(target))


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[] if k == "ternary" else [pytest.mark.check]) for k in KINDS])
def test_fields_without_a_permutation(kind: str) -> None:
    """Each kind takes its own form on AVX2, and is right there."""
    target = portable("x86-64-v3")
    cases = [layer(rows, 100, 70, kind) for rows in (1, 5, 9)]
    forms = {str(s["form"]) for case in cases for s in schedules_of(ENGINE, case, target)}
    assert forms == {FIELDS[kind]}
    check_engine(ENGINE, cases, target=target, threads=(1, 2), atol=ROUNDING)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_with_a_permutation(kind: str) -> None:
    target = portable("x86-64-v4")
    assert PERMUTE in target.instructions
    cases = [layer(rows, 100, 70, kind) for rows in (1, 5)]
    assert all(s["form"] == "tables" for case in cases for s in schedules_of(ENGINE, case, target))
    check_engine(ENGINE, cases, target=target, threads=(1, 2), atol=ROUNDING, schedules="first")


def layer(rows: int, inputs: int, outputs: int, kind: str = "ternary", scaled: bool = True) -> Case:
    rng = np.random.default_rng(outputs)
    case = Case(f"{kind} {rows} {inputs} {outputs}", [((rows, inputs), f32)])
    w = np.ascontiguousarray(few_valued(rng, (outputs, inputs), kind, scaled).T)
    return case.returns(case.add(MatMulOp, case.inputs[0], case.constant(w)))


@pytest.mark.check
def test_layers_of_networks() -> None:
    """Several blocks of steps, spans of columns and groups of rows, each with a shorter last one."""
    shapes = [(1, 4096, 1000), (1, 9000, 300), (40, 700, 3000), (100, 300, 40), (33, 1000, 1100)]
    cases = [layer(*shape, kind) for shape in shapes for kind in ("ternary", "two")]
    check_engine(ENGINE, cases, batch=1, atol=2e-3, threads=(1, 3))


@pytest.mark.parametrize("kind", ["ternary", "binary", "signed-binary"])
def test_whole_numbers_are_exact(kind: str) -> None:
    """Sums of whole numbers have no rounding, whatever the order."""
    rng = np.random.default_rng(1)
    case = Case(kind, [((6, 333), f32)])
    w = rng.choice({"ternary": (-1, 0, 1), "binary": (-1, 1), "signed-binary": (0, 1)}[kind], (333, 90))
    case.returns(case.add(MatMulOp, case.inputs[0], case.constant(w.astype(np.float32))))
    case.feeds = [rng.integers(-99, 99, (6, 333)).astype(np.float32)]
    for target in (NATIVE, portable("x86-64-v3")):
        check_engine(ENGINE, [case], target=target, rtol=0, atol=0)


@pytest.mark.parametrize(
    "target", [NATIVE, pytest.param(portable("x86-64-v3"), marks=pytest.mark.check)], ids=lambda t: t.name
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite(kind: str, target: Target) -> None:
    """Infinity times zero is NaN, as in the interpreter."""
    case = layer(2, 70, 40, kind)
    x = np.random.default_rng(0).standard_normal((2, 70)).astype(np.float32)
    x[0, 7], x[1, 69] = np.inf, np.nan
    case.feeds = [x]
    check_engine(ENGINE, [case], target=target, atol=ROUNDING, threads=(1,))


def test_result_does_not_depend_on_threads() -> None:
    case = layer(12, 900, 1300)
    x = np.random.default_rng(0).standard_normal((1, 12, 900)).astype(np.float32)
    for schedule in schedules_of(ENGINE, case, NATIVE):
        library = Library(kernel_program(ENGINE, [(case, schedule)]))
        results = [library.run([x], threads=threads)[0] for threads in (1, 2, 3, 7)]
        assert all(np.array_equal(results[0], other) for other in results[1:])


def test_the_input_comes_back_behind_the_product() -> None:
    """x + x * w, and a quantizer after it: operands and results of an epilogue that are not the product's."""
    rng, cases = np.random.default_rng(3), []
    for rows, size in ((1, 33), (9, 70)):
        case = Case(f"own {rows} {size}", [((rows, size), f32)])
        x, w = case.inputs[0], rng.choice([-1.0, 0.0, 1.0], (size, size)).astype(np.float32)
        y = case.add(AddOp, x, case.add(MatMulOp, x, case.constant(w)))
        q = case.add(QuantizeOp, y, case.constant(np.array(4.0, np.float32)), lo=-8, hi=7)
        case.feeds = [rng.integers(-9, 9, (rows, size)).astype(np.float32)]
        cases.append(case.returns(y, q))
    check_engine(ENGINE, cases, threads=(1, 3))


def test_a_single_sample() -> None:
    """Rows are one sample's, not the batch's: run_kernel has none."""
    case = layer(1, 64, 32, "binary", scaled=False)
    x = np.random.default_rng(0).standard_normal((1, 64)).astype(np.float32)
    (y,) = run_kernel(ENGINE, case, [x])
    assert y.shape == (1, 32)


@pytest.mark.parametrize("target", ["x86-64-v3", "x86-64-v4-vnni", "aarch64"])
def test_weights_stay_packed(target: str) -> None:
    """On disk, and in memory: an index of a byte is three or five weights, a field one bit or two."""
    chosen = find_target(target)
    tables = PERMUTE in chosen.instructions
    memory = {"ternary": (8 / 3, 2.0), "ttq": (8 / 3, 2.0), "binary": (8 / 5, 1.0), "signed-binary": (8 / 5, 1.0)}
    for kind, stored in (("ternary", 1.6), ("ttq", 1.6), ("binary", 1.0), ("signed-binary", 1.0)):
        emitted = emit_model(kernel_program(ENGINE, [(layer(1, 1000, 512, kind), None)], chosen), chosen)
        entry = next(entry for entry in emitted.layers if entry["engine"] == "linear_f32")
        digits, count = entry["digit_bytes_stored"], 1000 * 512
        assert isinstance(digits, int) and digits * 8 <= stored * count + 64 * 8
        bits = entry["weight_bytes"] * 8 / count  # type: ignore[operator]
        expected = memory[kind][0 if tables else 1]
        assert expected <= bits < expected * 1.1


def network(weights: np.ndarray, rows: int) -> onnx.ModelProto:
    """Gemm with a bias, then ReLU, on [rows, inputs]."""
    inputs, outputs = weights.shape
    bias = np.random.default_rng(0).standard_normal(outputs).astype(np.float32)
    tensors = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [rows, c]) for n, c in (("x", inputs), ("z", outputs))]
    graph = helper.make_graph(nodes, "mlp", ports[:1], ports[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("target", ["x86-64-v3", "native"])
@pytest.mark.parametrize("kind", ["ternary", "binary", "ttq"])
def test_is_chosen_for_few_rows(kind: str, target: str, tmp_path: Path) -> None:
    """A layer of a model runs in the engine, with its weights packed, and is right."""
    if reason := runs_here(find_target(target)):
        pytest.skip(reason)
    rng = np.random.default_rng(2)
    weights = np.ascontiguousarray(few_valued(rng, (512, 640), kind, True).T)
    compiled = tercet.compile(network(weights, 1), tmp_path / "m.tercet", target=target)
    (step,) = (layer for layer in compiled.layers if "tn.matmul" in layer.ops)
    assert step.engine == "linear_f32"
    assert step.weight_bytes_stored < 640 * 512 / 4  # 1.6 bits a weight at most, and bias and scales
    x = rng.standard_normal((1, 640)).astype(np.float32)
    bias = np.random.default_rng(0).standard_normal(512).astype(np.float32)
    with tercet.load(compiled.path) as loaded:
        np.testing.assert_allclose(loaded.run(x)["z"], np.maximum(x @ weights + bias, 0), rtol=1e-5, atol=ROUNDING)


def test_refuses_with_a_reason() -> None:
    dense = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    for array, reason in ((dense, "two or three values"), (np.full_like(dense, np.inf), "two or three values")):
        case = Case("dense weights", [((1, 5), f32)])
        y = case.add(MatMulOp, case.inputs[0], case.constant(array))
        with pytest.raises(AssertionError, match=reason):
            check_engine(ENGINE, [case.returns(case.add(ReluOp, y))])
