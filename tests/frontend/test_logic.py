"""Comparisons, logic, Where and Sign against onnxruntime, and the form that binary activations take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto

from tercet.frontend.onnx import import_model
from tercet.ir.errors import ModelError
from tercet.ir.program import Program
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.logic import CompareOp, SelectOp
from tercet.ir.tn.quant import ThresholdOp
from tercet.ir.types import BIPOLAR, TERNARY, element_of, is_float
from tercet.passes.pipeline import graph_passes

from .helpers import assert_like_onnxruntime, floats, integers, model, node

BOOL = {"y": np.bool_}
COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
SPECIAL = np.array([0.0, -0.0, 1e-45, -1e-45, 0.5, -0.5, 1.0, 3e38, -3e38, np.inf, -np.inf, np.nan], np.float32)


def kinds(program: Program) -> list[type]:
    return [type(op) for op in program.ops]


@pytest.mark.parametrize("op_type", COMPARISONS)
@pytest.mark.parametrize("bound", [0.0, -0.0, 0.5, 3e38, -3e38])
@pytest.mark.parametrize("first", [False, True])
def test_comparison_with_a_constant_is_a_threshold(op_type: str, bound: float, first: bool) -> None:
    """NaN, infinities, zeros of both signs and the smallest floats too."""
    feeds = {"x": SPECIAL}
    source = model(node(op_type, "c x" if first else "x c"), feeds, {"c": np.array(bound, np.float32)}, outputs=BOOL)
    assert_like_onnxruntime(source, feeds)
    found = kinds(import_model(source))
    assert ThresholdOp in found and CompareOp not in found


@pytest.mark.parametrize("op_type", COMPARISONS)
@pytest.mark.parametrize("bound", [np.inf, -np.inf])
def test_comparison_with_infinity(op_type: str, bound: float) -> None:
    feeds = {"x": SPECIAL}
    for inputs in ("x c", "c x"):
        assert_like_onnxruntime(
            model(node(op_type, inputs), feeds, {"c": np.array(bound, np.float32)}, outputs=BOOL), feeds
        )


@pytest.mark.parametrize("op_type", COMPARISONS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
@pytest.mark.parametrize("constant", [(), (1,), (3, 1, 1), (2, 3, 4, 4), (5, 1, 3, 1, 1)])
@pytest.mark.parametrize("first", [False, True])
def test_comparison_broadcasts(op_type: str, dtype: Any, constant: tuple[int, ...], first: bool) -> None:
    feeds = {"x": integers(-2, 2, 2, 3, 4, 4).astype(dtype)}
    c = {"c": np.asarray(integers(-1, 1, *constant, seed=1)).astype(dtype)}
    assert_like_onnxruntime(model(node(op_type, "c x" if first else "x c"), feeds, c, outputs=BOOL), feeds)


@pytest.mark.parametrize("op_type", COMPARISONS)
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((), (2, 3)), ((0, 3), (3,))])
def test_comparison_of_two_inputs(op_type: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    for make in (
        lambda *s, seed: integers(-2, 2, *s, seed=seed).astype(np.float32),
        lambda *s, seed: integers(-2, 2, *s, seed=seed),
    ):
        feeds = {"a": np.asarray(make(*shapes[0], seed=0)), "b": np.asarray(make(*shapes[1], seed=1))}
        assert_like_onnxruntime(model(node(op_type, "a b"), feeds, outputs=BOOL), feeds)


def test_comparisons_at_the_ends_of_int64() -> None:
    ends = np.array([-(2**63), 2**63 - 1], np.int64)
    feeds = {"x": np.concatenate([ends, np.array([0], np.int64)])}
    for op_type in COMPARISONS:
        for end in ends:
            for inputs in ("x c", "c x"):
                assert_like_onnxruntime(model(node(op_type, inputs), feeds, {"c": end}, outputs=BOOL), feeds)


@pytest.mark.parametrize("op_type", ["And", "Or", "Xor"])
def test_logic(op_type: str) -> None:
    feeds = {
        "a": np.array([[0, 0, 1, 1]], np.bool_),
        "b": np.array([[0, 1, 0, 1]], np.bool_),
        "c": np.ones((2, 1), np.bool_),
    }
    source = model([node(op_type, "a b", "t"), node(op_type, "t c")], feeds, outputs=BOOL)
    assert_like_onnxruntime(source, feeds)


def test_not_of_a_comparison_is_one_threshold() -> None:
    feeds = {"x": SPECIAL}
    source = model([node("Less", "x c", "t"), node("Not", "t")], feeds, {"c": np.array(0.5, np.float32)}, outputs=BOOL)
    assert_like_onnxruntime(source, feeds)
    program = import_model(source)
    for step in graph_passes():
        step.apply(program)
    assert kinds(program).count(ThresholdOp) == 1


PAIRS = [(1, -1), (-1, 1), (1, 0), (0, 1), (3, 7), (2, 2)]
FLOAT_PAIRS = [*PAIRS, (0.3, -0.3), (-0.3, 0.3), (0.7, 0), (0, -0.7), (0.1, 0.3), (1e30, 0)]


@pytest.mark.parametrize(("dtype", "pair"), [*((np.float32, p) for p in FLOAT_PAIRS), *((np.int64, p) for p in PAIRS)])
def test_where_of_two_constants(dtype: Any, pair: tuple[float, float]) -> None:
    feeds = {"x": SPECIAL}
    constants = {"z": np.float32(0), "p": dtype(pair[0]), "n": dtype(pair[1])}
    nodes = [node("GreaterOrEqual", "x z", "c"), node("Where", "c p n")]
    assert_like_onnxruntime(model(nodes, feeds, constants, outputs={"y": dtype}), feeds)


@pytest.mark.parametrize("yes", [(), (3, 1), (2, 3, 4), (2, 1, 1, 1)])
@pytest.mark.parametrize("no", ["zero", "minus", "other"])
def test_where_of_constant_tensors(yes: tuple[int, ...], no: str) -> None:
    feeds = {"x": floats(2, 3, 4)}
    p = np.abs(floats(*yes, seed=1)) + np.float32(0.1)
    n = {"zero": np.zeros_like(p), "minus": -p, "other": floats(*yes, seed=2)}[no]
    constants = {"z": np.float32(0), "p": p, "n": np.asarray(n, np.float32)}
    nodes = [node("Greater", "x z", "c"), node("Where", "c p n")]
    assert_like_onnxruntime(model(nodes, feeds, constants), feeds)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), ()), ((2, 1), (), (1, 3))])
def test_where_of_inputs(dtype: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    feeds = {"c": np.asarray(integers(0, 1, *shapes[0])).astype(np.bool_)}
    feeds |= {
        n: np.asarray(integers(-2, 2, *s, seed=i)).astype(dtype)
        for i, (n, s) in enumerate(zip("ab", shapes[1:], strict=True))
    }
    source = model(node("Where", "c a b"), feeds, outputs={"y": dtype})
    assert_like_onnxruntime(source, feeds)
    assert SelectOp in kinds(import_model(source))


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int64, np.uint8])
def test_sign(dtype: Any) -> None:
    feeds = {"x": SPECIAL[:-1] if dtype == np.float32 else integers(-3, 3, 20).astype(dtype)}
    assert_like_onnxruntime(model(node("Sign", "x"), feeds, outputs={"y": dtype}), feeds)


def binary_network(activation: list[NodeProto]) -> tuple[Any, dict[str, np.ndarray]]:
    """conv (ternary), scale and bias by channel, the activation from z to s, conv (binary)."""
    feeds = {"x": integers(-1, 1, 1, 3, 6, 6, dtype=np.int8)}
    constants = {
        "w1": integers(-1, 1, 4, 3, 3, 3, seed=1).astype(np.float32),
        "k": np.array([0.5, -0.25, 1.5, 0.75], np.float32).reshape(4, 1, 1),
        "b": np.array([0.3, -1.2, 0.0, 2.5], np.float32).reshape(4, 1, 1),
        "w2": (2 * integers(0, 1, 5, 4, 3, 3, seed=2) - 1).astype(np.float32),
        "zero": np.float32(0),
        "one": np.float32(1),
        "minus": np.float32(-1),
    }
    nodes = [
        node("Cast", "x", "xf", to=1),
        node("Conv", "xf w1", "c1"),
        node("Mul", "c1 k", "m"),
        node("Add", "m b", "z"),
        *activation,
        node("Conv", "s w2", "y"),
    ]
    return model(nodes, feeds, constants), feeds


ACTIVATIONS: dict[str, tuple[list[NodeProto], Any]] = {
    "where": ([node("GreaterOrEqual", "z zero", "c"), node("Where", "c one minus", "s")], BIPOLAR),
    "where less": ([node("Less", "z zero", "c"), node("Where", "c minus one", "s")], BIPOLAR),
    "where not": ([node("Less", "z zero", "d"), node("Not", "d", "c"), node("Where", "c one minus", "s")], BIPOLAR),
    "where swapped": ([node("LessOrEqual", "zero z", "c"), node("Where", "c one minus", "s")], BIPOLAR),
    "sign": ([node("Sign", "z", "s")], TERNARY),
    "difference": (
        [
            node("Greater", "z one", "c"),
            node("Less", "z minus", "d"),
            node("Cast", "c", "p", to=1),
            node("Cast", "d", "n", to=1),
            node("Sub", "p n", "s"),
        ],
        TERNARY,
    ),
    "step": ([node("Greater", "z one", "c"), node("Cast", "c", "s", to=1)], None),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_binary_activation_is_an_integer_threshold(name: str) -> None:
    """Both convolutions are integer ones, and the second sees the values that the activation has."""
    nodes, element = ACTIVATIONS[name]
    source, feeds = binary_network(nodes)
    assert_like_onnxruntime(source, feeds)
    program = import_model(source)
    for step in graph_passes():
        step.apply(program)
        program.verify()
    first, second = (op for op in program.ops if isinstance(op, ConvOp))
    assert not is_float(first.y) and not is_float(second.x)
    (threshold,) = (op for op in program.ops if isinstance(op, ThresholdOp))
    assert threshold.x is first.y and second.x is threshold.y
    assert element is None or element_of(second.x) == element


def test_operands_are_checked() -> None:
    with pytest.raises(ModelError, match="expected bool operands, got float32"):
        import_model(model(node("Not", "x"), {"x": floats(2)}, outputs=BOOL))
    with pytest.raises(ModelError, match="operands have the dtypes float32 and int64"):
        import_model(model(node("Less", "a b"), {"a": floats(2), "b": integers(0, 1, 2)}, outputs=BOOL))
