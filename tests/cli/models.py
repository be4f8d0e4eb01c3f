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


def thresholds_model(
    thresholds: np.ndarray, *, scale: float = 1.0, bias: float = 0.0, whole: bool = True
) -> ModelProto:
    """MultiThreshold on x [1, C, 4, 4], after a MatMul-free integer producer (another MultiThreshold) when `whole`."""
    channels = len(thresholds)
    nodes, name = [], "x"
    initializers = [numpy_helper.from_array(thresholds.astype(np.float32), "T")]
    if whole:
        steps = np.arange(-8, 9, dtype=np.float32)[None]
        initializers.append(numpy_helper.from_array(steps, "S"))
        nodes.append(_threshold("x", "S", "i", 1.0, -9.0))
        name = "i"
    nodes.append(_threshold(name, "T", "y", scale, bias))
    graph = helper.make_graph(
        nodes,
        "thresholds",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, 4, 4])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _threshold(x: str, table: str, y: str, scale: float, bias: float) -> onnx.NodeProto:
    return helper.make_node(
        "MultiThreshold", [x, table], [y], name=y, domain="qonnx.custom_op.general", out_scale=scale, out_bias=bias
    )
