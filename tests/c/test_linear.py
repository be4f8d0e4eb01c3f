"""The linear engine equals the interpreter bit for bit: kinds of weights, shapes, ranges, vector widths, threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from dense_cases import FEW, TARGETS, integer_epilogue
from harness import NATIVE, Case, check_engine
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.backends.c.engines.linear import ENGINE
from tercet.backends.c.engines.linear.weights import read_fields
from tercet.backends.c.storage import store
from tercet.backends.c.target import Target
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.types import Element, int_type, shape_of

WEIGHTS = {
    "ternary": (-1, 0, 1), "binary": (-1, 1), "positive": (0, 1), "negative": (0, -1), "zero": (0,), "one": (1,),
}  # fmt: skip
RANGES = [(-128, 127), (0, 255), (0, 3), (-1, 1), (-8, 7), (3, 9), (-7, 200), (100, 300)]


def matrix(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Weights of a kind; mixed: columns of all kinds that one bit serves."""
    if kind != "mixed":
        return rng.choice(WEIGHTS[kind], shape)
    kinds = [WEIGHTS[k] for k in rng.choice(["binary", "positive", "negative", "zero"], shape[-1])]
    return np.stack([rng.choice(k, shape[:-1]) for k in kinds], axis=-1)


@st.composite
def linear_cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    element: Element = int_type(*draw(st.sampled_from(RANGES)))
    kind = draw(st.sampled_from(["ternary", "ternary", "mixed", *WEIGHTS]))
    after = draw(st.sampled_from(["", "threshold", "many thresholds", "float", "add"]))
    inputs = draw(st.sampled_from([1, 3, 8, 37, 200, 515, 1030]))
    outputs = draw(st.sampled_from([1, 7, 10, 64, 131]))
    rows = draw(st.sampled_from([(), (1,), (2,), (3,), (7,), (2, 5), (40,)]))
    name = f"{rows} {inputs} {outputs} {element} {kind} {after}"
    if draw(st.integers(0, 3)) == 0:
        images = rows[0] if rows else 1
        case = Case(f"conv {name}", [((images, inputs, 2, 1), element)])
        w = matrix(rng, (inputs, 2, 1, outputs), kind).transpose(3, 0, 1, 2)
        bias = [case.constant(rng.integers(-1000, 1000, outputs))] if draw(st.booleans()) else []
        y = case.add(
            ConvOp, case.inputs[0], case.constant(w), *bias, strides=[1, 1], pads=[0] * 4, dilations=[1, 1], group=1
        )
        return case.returns(integer_epilogue(case, y, 1, rng, after))
    case = Case(f"matmul {name}", [((*rows, inputs), element)])
    y = case.add(MatMulOp, case.inputs[0], case.constant(matrix(rng, (inputs, outputs), kind)))
    return case.returns(integer_epilogue(case, y, len(shape_of(y)) - 1, rng, after))


def schedules(target: Target) -> str:
    return "all" if target is NATIVE else "first"


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@given(st.lists(linear_cases(), min_size=4, max_size=4))
@FEW
def test_equals_the_interpreter(target: Target, kernels: list[Case]) -> None:
    check_engine(ENGINE, kernels, target=target, threads=(1, 2, 3), schedules=schedules(target))


def extremes(lo: int, hi: int, weights: tuple[int, ...], depth: int = 1100) -> list[Case]:
    """All inputs at one end of their range and weights that repeat: sums are the largest."""
    cases = []
    for value in (lo, hi):
        case = Case(f"{value} {weights} {depth}", [((3, depth), int_type(lo, hi))])
        case.feeds = [np.full((3, depth), value, np.uint8 if lo >= 0 else np.int8)]
        matrix = np.resize(np.array(weights), (depth, 9))
        cases.append(case.returns(case.add(MatMulOp, case.inputs[0], case.constant(matrix))))
    return cases


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
def test_extreme_values(target: Target) -> None:
    cases = [
        *extremes(-128, 127, (1,) * 20 + (0, -1)),
        *extremes(0, 255, (-1,) * 20 + (0, 1)),
        *extremes(0, 1, (-1,)),
    ]
    check_engine(ENGINE, cases, target=target, schedules=schedules(target))


@pytest.mark.parametrize(("kind", "bits", "stored"), [("ternary", 2, 1.6), ("binary", 1, 1.0), ("mixed", 1, 1.0)])
def test_weights_are_stored_in_few_bits(kind: str, bits: int, stored: float) -> None:
    weights = matrix(np.random.default_rng(0), (512, 256), kind)
    fields = read_fields(weights)
    assert fields.bits == bits
    constant = fields.packed(columns=2, lanes=8, depth=5)
    assert constant.expanded_bytes == weights.size * bits // 8
    assert len(store(constant).data) * 8 <= stored * weights.size + 8  # the last byte may not be full


def test_refuses_with_a_reason() -> None:
    for name, element, weights, reason in (
        ("wide inputs", int_type(-300, 300), [[1]], "8 bits"),
        ("wide weights", int_type(0, 3), [[2]], "-1, 0, 1"),
    ):
        case = Case(name, [((1, 1), element)])
        case.returns(case.add(MatMulOp, case.inputs[0], case.constant(np.array(weights))))
        with pytest.raises(AssertionError, match=reason):
            check_engine(ENGINE, [case])


def mlp(leading: int | str) -> onnx.ModelProto:
    """Float [leading, 48] -> 8-bit quantizer -> ternary layer of 64 -> 8-bit quantizer -> ternary layer of 10."""
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(np.array(0.05, np.float32), "s"),
        numpy_helper.from_array(np.array(3, np.uint8), "z"),
    ]
    nodes, x = [], "x"
    for i, shape in enumerate([(48, 64), (64, 10)]):
        tensors.append(numpy_helper.from_array(rng.choice([-0.5, 0, 0.5], shape).astype(np.float32), f"w{i}"))
        nodes += [
            helper.make_node("QuantizeLinear", [x, "s", "z"], [f"q{i}"]),
            helper.make_node("DequantizeLinear", [f"q{i}", "s", "z"], [f"x{i}"]),
            helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"y{i}"]),
        ]
        x = f"y{i}"
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [leading, c]) for n, c in (("x", 48), ("y1", 10))]
    graph = helper.make_graph(nodes, "mlp", ports[:1], ports[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize(("leading", "batch"), [("N", 32), (32, None)])
def test_rows_of_a_fixed_batch_share_the_weights(leading: int | str, batch: int | None, tmp_path: Path) -> None:
    """One kernel a layer computes all 32 rows; it equals the same network run on one sample after the other."""
    x = np.random.default_rng(1).standard_normal((32, 48)).astype(np.float32)
    results = []
    for model, size in ((mlp(leading), batch), (mlp("N"), None)):
        compiled = tercet.compile(model, tmp_path / f"{size}.tercet", batch=size)
        layers = [layer for layer in compiled.layers if "tn.matmul" in layer.ops]
        rows = 32 if not results else 1
        assert [layer.results[0].partition("<")[2].partition("x")[0] for layer in layers] == [str(rows)] * 2
        with tercet.load(compiled.path) as loaded:
            results.append(loaded.run(x)["y1"])
    np.testing.assert_allclose(*results, rtol=1e-6)
