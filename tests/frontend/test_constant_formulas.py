"""Formulas on weights fold whatever their operators, and quantized weights stay integers unless they must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

from tercet.frontend.onnx import import_model
from tercet.ir.errors import ModelError, UnsupportedError

from .helpers import assert_like_onnxruntime, floats, integers, interpreted, model, node

W = floats(4, 3, 3, 3, seed=1)
FEEDS = {"x": floats(1, 3, 6, 6)}
AXES = {"axes": np.array([1, 2, 3], np.int64)}
QONNX = "qonnx.custom_op.general"


def sevens(delta: str) -> list[NodeProto]:
    """Ternary weight networks: |w| > delta keeps its sign, times the mean of what is kept."""
    return [
        node("Greater", f"a {delta}", "mask"),
        node("Cast", "mask", "kept", to=TensorProto.FLOAT),
        node("Mul", "a kept", "parts"),
        node("ReduceSum", "parts axes", "sum", keepdims=1),
        node("ReduceSum", "kept axes", "count", keepdims=1),
        node("Div", "sum count", "alpha"),
        node("Sign", "w", "sign"),
        node("Where", "mask sign zero", "t"),
        node("Mul", "t alpha", "q"),
    ]


FORMULAS: dict[str, list[NodeProto]] = {
    "mean of sizes": [
        node("Abs", "w", "a"),
        node("ReduceMean", "a", "m", axes=[1, 2, 3], keepdims=1),
        node("Mul", "m factor", "delta"),
        *sevens("delta"),
    ],
    "largest size": [
        node("Abs", "w", "a"),
        node("ReduceMax", "a", "m", axes=[1, 2, 3], keepdims=1),
        node("Mul", "m factor", "delta"),
        *sevens("delta"),
    ],
    "square root": [
        node("Pow", "w two", "p"),
        node("ReduceMean", "p", "v", axes=[1, 2, 3], keepdims=1),
        node("Sqrt", "v", "d"),
        node("Abs", "w", "a"),
        *sevens("d"),
    ],
    "norm": [node("ReduceL2", "w", "n", axes=[1, 2, 3], keepdims=1), node("Div", "w n", "q")],
    "tanh and a product": [node("Tanh", "w", "h"), node("Erf", "h", "g"), node("MatMul", "g eye", "q")],
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_a_constant(name: str) -> None:
    constants = {
        "w": W,
        "factor": np.array(0.7, np.float32),
        "zero": np.array(0, np.float32),
        "two": np.array(2, np.float32),
        "eye": floats(3, 3, seed=5),
        **AXES,
    }
    source = model([*FORMULAS[name], node("Conv", "x q")], FEEDS, constants)
    assert_like_onnxruntime(source, FEEDS)
    assert {op.name for op in import_model(source).ops} == {"tn.constant", "tn.conv"}


@pytest.mark.parametrize("moved", [False, True])
def test_a_formula_on_quantized_weights(moved: bool) -> None:
    """Conv reads integers; the sum of exponentials reads what they are, while the model is imported."""
    constants = {"w": integers(-3, 3, 4, 3, 3, 3, dtype=np.int8), "s": np.array(0.1, np.float32), **AXES}
    nodes = [
        node("DequantizeLinear", "w s", "d"),
        node("Transpose", "d", "e", perm=[0, 1, 3, 2]) if moved else node("Identity", "d", "e"),
        node("ReduceLogSumExp", "e", "l", axes=[1, 2, 3], keepdims=0),
        node("Conv", "x e l"),
    ]
    source = model(nodes, FEEDS, constants)
    assert_like_onnxruntime(source, FEEDS)
    names = {op.name for op in import_model(source).ops}
    assert "tn.dequantize" in names and not names & {"tn.exp", "tn.log", "tn.reduce_sum"}


QUANTIZERS: dict[str, tuple[NodeProto, Any]] = {
    "Quant": (
        node("Quant", "w s z b", "q", domain=QONNX, signed=1, narrow=1),
        lambda w: np.clip(np.rint(w / 0.5), -1, 1) * 0.5,
    ),
    "one bit": (node("Quant", "w s z o", "q", domain=QONNX, signed=1), lambda w: np.where(w >= 0, 0.5, -0.5)),
    "BipolarQuant": (node("BipolarQuant", "w s", "q", domain=QONNX), lambda w: np.where(w >= 0, 0.5, -0.5)),
    "MultiThreshold": (
        node("MultiThreshold", "w t", "q", domain=QONNX, out_scale=0.5, out_bias=-1.0),
        lambda w: 0.5 * ((w >= -0.5).astype(np.float32) + (w >= 0.5)) - 1,
    ),
}


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_formula_on_qonnx_weights(name: str) -> None:
    quantizer, right = QUANTIZERS[name]
    numbers = {"s": 0.5, "z": 0.0, "b": 2.0, "o": 1.0}
    constants = {n: np.array(v, np.float32) for n, v in numbers.items()}
    constants |= {"w": W, "t": np.array([[-0.5, 0.5]], np.float32)}
    nodes = [quantizer, node("ReduceL1", "q", "n", axes=[1, 2, 3], keepdims=1), node("Mul", "x n")]
    x = {"x": floats(4, 1, 1, 1)}
    y = interpreted(model(nodes, x, constants, domains=[QONNX]), x)["y"]
    want = x["x"] * np.abs(right(W)).sum(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(y, want, rtol=1e-5)


def test_what_is_random_or_too_large_does_not_fold() -> None:
    x = {"x": floats(2)}
    with pytest.raises(UnsupportedError, match="operator RandomNormalLike is not supported"):
        import_model(model([node("RandomNormalLike", "w", "r"), node("Mul", "x r")], x, {"w": floats(2)}))
    bombs = {
        "OneHot": (
            node("OneHot", "i d v", "r"),
            {"i": np.zeros(2**10, np.int64), "d": np.array(2**30), "v": floats(2)},
        ),
        "Pad": (node("Pad", "w p", "r"), {"w": floats(2), "p": np.array([0, 2**40], np.int64)}),
        "MatMul": (node("MatMul", "w v", "r"), {"w": floats(2**15, 1), "v": floats(1, 2**15)}),
    }
    for bomb, constants in bombs.values():
        with pytest.raises(ModelError, match="its constant result would have"):
            import_model(model([bomb, node("Mul", "x r")], x, constants))


def test_a_long_chain_behind_quantized_weights() -> None:
    """No recursion: a hostile file may be as long as it likes."""
    constants = {"w": integers(-3, 3, 3, dtype=np.int8), "s": np.array(0.1, np.float32)}
    chain = [node("Relu", f"d{i}", f"d{i + 1}") for i in range(3000)]
    nodes = [node("DequantizeLinear", "w s", "d0"), *chain, node("Exp", "d3000", "e"), node("Mul", "x e")]
    assert_like_onnxruntime(model(nodes, {"x": floats(3)}, constants), {"x": floats(3)})
