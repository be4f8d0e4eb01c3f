"""Small ONNX models for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

RNG = np.random.default_rng(7)
WEIGHTS = RNG.integers(-1, 2, (4, 1, 3, 3)).astype(np.float32)


def little_model(weights: np.ndarray, *, quantizer: str = "Round") -> ModelProto:
    """Conv 3x3 -> (quantizer, as an operator) -> GlobalAveragePool -> Flatten; x [batch, 1, 6, 6] -> y [batch, 4]."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node(quantizer, ["c"], ["q"], name="quantizer"),
        helper.make_node("GlobalAveragePool", ["q"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["y"], name="flatten"),
    ]
    graph = helper.make_graph(
        nodes,
        "little",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", len(weights)])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def save_model(path: Path, weights: np.ndarray, *, quantizer: str = "Relu") -> Path:
    onnx.save(little_model(weights, quantizer=quantizer), str(path))
    return path
