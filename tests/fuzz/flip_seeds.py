"""The sound models that are damaged: small ones with every kind of node, attribute and tensor that the import reads."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FAULTS = Path(__file__).parents[1] / "faults" / "data"
LARGEST = 2000
"""Bytes: in a larger model most damage hits weights, which changes nothing."""
DOMAINS = {"MultiThreshold": "qonnx.custom_op.general", "Quant": "qonnx.custom_op.general"}


def _node(op: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    domain, name = DOMAINS.get(op), f"n_{outputs}"
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, domain=domain, **attributes)


def _model(nodes: list[NodeProto], constants: dict[str, np.ndarray], shape: list[int | str], last: str) -> ModelProto:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _f(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def _i(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _convolutions() -> ModelProto:
    signs = (np.arange(18).reshape(2, 1, 3, 3) % 3 - 1).astype(np.float32)
    nodes = [
        _node("Conv", "x w", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1),
        _node("BatchNormalization", "a s b m v", "c", epsilon=1e-5),
        _node("MaxPool", "c", "d", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=0),
        _node("AveragePool", "d", "e", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1),
        _node("Pad", "e pads value", "p", mode="constant"),
        _node("GlobalAveragePool", "p", "y"),
    ]
    constants = {"w": signs, "s": _f(1, 2), "b": _f(0, 1), "m": _f(0, 0), "v": _f(1, 0.5), "value": np.float32(0.0)}
    return _model(nodes, {**constants, "pads": _i(0, 0, 1, 0, 0, 0, 0, 1)}, ["N", 1, 5, 5], "y")


def _quantizers() -> ModelProto:
    nodes = [
        _node("QuantizeLinear", "x s z", "q", axis=1),
        _node("DequantizeLinear", "q s z", "d", axis=1),
        _node("Quant", "d one zero bits", "e", signed=1, narrow=0, rounding_mode="ROUND"),
        _node("MultiThreshold", "e t", "f", out_scale=1.0, out_bias=-1.0, out_dtype="INT2"),
        _node("DequantizeLinear", "wq ws", "w"),
        _node("MatMul", "f w", "y"),
    ]
    constants = {
        "s": _f(0.5, 0.25), "z": np.zeros(2, np.int8), "one": _f(1), "zero": _f(0), "bits": _f(4),
        "t": np.array([[-0.5, 0.5], [0, 1]], np.float32), "wq": np.array([[1, -1], [0, 1]], np.int8),
        "ws": np.float32(0.5),
    }  # fmt: skip
    return _model(nodes, constants, ["N", 2], "y")


def _movement() -> ModelProto:
    nodes = [
        _node("Reshape", "x shape", "a"),
        _node("Transpose", "a", "b", perm=[0, 2, 1]),
        _node("Unsqueeze", "b axes", "c"),
        _node("Squeeze", "c axes", "d"),
        _node("Slice", "d starts ends last steps", "e"),
        _node("Split", "e", "f1 f2", axis=1),
        _node("Concat", "f1 f2", "g", axis=2),
        _node("Gather", "g indices", "h", axis=2),
        _node("Flatten", "h", "r", axis=1),
        _node("TopK", "r k", "t ti", axis=-1),
        _node("Softmax", "t", "y", axis=-1),
    ]
    constants = {
        "shape": _i(1, 2, 6), "axes": _i(1), "starts": _i(0), "ends": _i(4), "last": _i(1), "steps": _i(1),
        "indices": _i(0, 2, 1), "k": _i(3),
    }  # fmt: skip
    return _model(nodes, constants, [1, 12], "y")


def _shape_arithmetic() -> ModelProto:
    nodes = [
        _node("Shape", "x", "s"),
        _node("Gather", "s zero", "n", axis=0),
        _node("Constant", "", "m", value=numpy_helper.from_array(_i(-1))),
        _node("Unsqueeze", "n axes", "u"),
        _node("Concat", "u m", "target", axis=0),
        _node("Reshape", "x target", "r"),
        _node("ConstantOfShape", "u", "c", value=numpy_helper.from_array(_f(2))),
        _node("Range", "a b step", "i"),
        _node("Cast", "i", "f", to=TensorProto.FLOAT),
        _node("Tile", "f two", "e"),
        _node("Mul", "r e", "p"),
        _node("Add", "p c", "v"),
        _node("ReduceMean", "v", "w", axes=[1], keepdims=1),
        _node("Clip", "w low high", "y"),
    ]
    constants = {
        "zero": np.array(0, np.int64), "axes": _i(0), "a": np.array(0, np.int64), "b": np.array(2, np.int64),
        "step": np.array(1, np.int64), "two": _i(2), "low": np.float32(-1), "high": np.float32(6),
    }  # fmt: skip
    return _model(nodes, constants, [1, 4], "y")


def _gemm() -> ModelProto:
    nodes = [
        _node("Gemm", "x w b", "a", alpha=0.5, beta=1.0, transB=1),
        _node("LeakyRelu", "a", "c", alpha=0.1),
        _node("Sub", "c k", "d"),
        _node("Div", "d k", "e"),
        _node("Round", "e", "f"),
        _node("HardSigmoid", "f", "g", alpha=0.2, beta=0.5),
        _node("ArgMax", "g", "h", axis=1, keepdims=0),
        _node("Cast", "h", "y", to=TensorProto.FLOAT),
    ]
    weights = (np.arange(12).reshape(3, 4) % 3 - 1).astype(np.float32)
    return _model(nodes, {"w": weights, "b": _f(1, 2, 3), "k": _f(0.5, 1, 2)}, ["batch", 4], "y")


@cache
def seeds() -> dict[str, bytes]:
    """The bytes of every model by name, in a fixed order."""
    made = (_convolutions, _quantizers, _movement, _shape_arithmetic, _gemm)
    found = {build.__name__.strip("_"): build().SerializeToString(deterministic=True) for build in made}
    files = [path for path in sorted(FAULTS.glob("*.onnx")) if path.stat().st_size <= LARGEST]
    return found | {path.stem: path.read_bytes() for path in files}
