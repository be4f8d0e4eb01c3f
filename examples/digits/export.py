"""Write the trained digits network as an ONNX graph in the QCDQ style, and run it with onnxruntime.

QCDQ: Quantize, Clip, Dequantize. Standard ONNX has no 2-bit tensor in opset 13, so a ternary activation
is an int8 tensor clipped to -1..1, and a ternary weight is an int8 initializer that holds only -1, 0, 1.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before onnxruntime is imported

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from torch import nn

# isort: split
from model import Activation, Block, Conv, DigitsNet, Linear, ternarize

OPSET = 13
IR_VERSION = 8


class Graph:
    """Collects nodes and initializers; every node has one output, named after the node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store `value` under `name` (again the same for a name already there); return `name`."""
        self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def node(self, op: str, name: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        output = output or f"{name}.out"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=name, **attributes))
        return output


def add_input(graph: Graph, image: str) -> str:
    """Pixels float32 -> uint8 -> float32 at scale 1: exact for integers, and it declares them as such."""
    scale = graph.constant("image.scale", np.array(1.0, np.float32))
    zero = graph.constant("image.zero_point", np.array(0, np.uint8))
    x = graph.node("QuantizeLinear", "image.quantize", image, scale, zero)
    return graph.node("DequantizeLinear", "image.dequantize", x, scale, zero)


def add_weight(graph: Graph, name: str, layer: Conv | Linear) -> str:
    """int8 codes [out, ...] and a float32 scale [out] -> the float32 weight [out, ...]."""
    codes, scale = ternarize(layer.weight.detach())
    weight = graph.constant(f"{name}.weight", codes.numpy().astype(np.int8))
    weight_scale = graph.constant(f"{name}.weight.scale", scale.numpy())
    return graph.node("DequantizeLinear", f"{name}.weight.dequantize", weight, weight_scale, axis=0)


def add_layer(graph: Graph, name: str, layer: Conv | Linear, x: str) -> str:
    """Convolution or matrix product with a ternary weight, without its bias."""
    weight = add_weight(graph, name, layer)
    if isinstance(layer, Conv):
        return graph.node("Conv", name, x, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return graph.node("Gemm", name, x, weight, transB=1)


def add_bn(graph: Graph, name: str, bn: nn.BatchNorm1d | nn.BatchNorm2d, x: str) -> str:
    """Batch normalisation with the trained statistics, four float32 [channels]."""
    state = bn.state_dict()
    keys = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    names = [graph.constant(f"{name}.{key}", state[torch_key].numpy()) for key, torch_key in keys.items()]
    return graph.node("BatchNormalization", name, x, *names, epsilon=bn.eps)


def add_activation(graph: Graph, name: str, act: Activation, x: str) -> str:
    """Quantize to int8, clip to -1..1, dequantize; the scale is float32 []."""
    if act.scale.item() <= 0:
        raise ValueError(f"{name}: the learned scale {act.scale.item()} is not positive")
    scale = graph.constant(f"{name}.scale", act.scale.detach().numpy())
    zero = graph.constant("ternary.zero_point", np.array(0, np.int8))
    low = graph.constant("ternary.min", np.array(-1, np.int8))
    high = graph.constant("ternary.max", np.array(1, np.int8))
    x = graph.node("QuantizeLinear", f"{name}.quantize", x, scale, zero)
    x = graph.node("Clip", f"{name}.clip", x, low, high)
    return graph.node("DequantizeLinear", f"{name}.dequantize", x, scale, zero)


def add_block(graph: Graph, name: str, block: Block, x: str) -> str:
    x = add_layer(graph, name, block.layer, x)
    x = add_bn(graph, f"{name}.bn", block.bn, x)
    return add_activation(graph, f"{name}.act", block.act, x)


def add_pool(graph: Graph, name: str, x: str) -> str:
    return graph.node("MaxPool", name, x, kernel_shape=[2, 2], strides=[2, 2])


def to_onnx(net: DigitsNet) -> onnx.ModelProto:
    """`image` float32 [batch, 1, 8, 8] -> `logits` float32 [batch, 10], batch symbolic."""
    graph = Graph()
    x = add_input(graph, "image")
    x = add_block(graph, "conv1", net.conv1, x)
    x = add_block(graph, "conv2", net.conv2, x)
    x = add_pool(graph, "pool1", x)
    branch = add_block(graph, "conv3", net.conv3, x)
    x = graph.node("Add", "residual.add", x, branch)
    x = add_bn(graph, "residual.bn", net.residual_bn, x)
    x = add_activation(graph, "residual.act", net.residual_act, x)
    x = add_pool(graph, "pool2", x)
    x = graph.node("Flatten", "flatten", x, axis=1)
    x = add_block(graph, "fc1", net.fc1, x)
    x = add_layer(graph, "fc2", net.fc2, x)
    bias = graph.constant("fc2.bias", net.fc2.bias.detach().numpy())
    graph.node("Add", "fc2.add_bias", x, bias, output="logits")

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    initializers = list(graph.initializers.values())
    model = helper.make_model(
        helper.make_graph(graph.nodes, "digits_ternary", [image], [logits], initializers),
        producer_name="tercet examples/digits",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def run_onnx(path: Path, image: np.ndarray) -> np.ndarray:
    """Logits float32 [n, 10] of float32 [n, 1, 8, 8], by onnxruntime on the graph exactly as written."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"image": image})[0])
