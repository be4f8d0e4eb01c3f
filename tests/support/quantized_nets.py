"""Quantized models for the tests of verify: float sums that go to quantizers, as exporters write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"


@dataclass
class Net:
    """A graph under construction; every method appends nodes and gives the name of the result."""

    seed: int = 0
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}_y"], name=name, **attributes))
        return f"{name}_y"

    def constant(self, array: np.ndarray | np.generic) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def quantized(self, x: str, scale: float | np.ndarray, dtype: type, zero: int = 0, axis: int = 1) -> str:
        """QuantizeLinear and DequantizeLinear."""
        step = self.constant(np.asarray(scale, np.float32))
        shift = self.constant(np.full(np.shape(scale), zero, dtype))
        return self.node(
            "DequantizeLinear", self.node("QuantizeLinear", x, step, shift, axis=axis), step, shift, axis=axis
        )  # fmt: skip

    def weights(self, shape: tuple[int, ...], bits: int = 4) -> str:
        """Signed integer weights with a scale for each output channel, dequantized."""
        most = 2 ** (bits - 1) - 1
        q = self.constant(self.rng.integers(-most, most + 1, shape).astype(np.int8))
        scale = self.constant(self.rng.uniform(0.05, 0.1, shape[0]).astype(np.float32))
        return self.node("DequantizeLinear", q, scale, self.constant(np.zeros(shape[0], np.int8)), axis=0)

    def conv(self, x: str, inputs: int, outputs: int, size: int = 3, bits: int = 4) -> str:
        bias = self.constant(self.rng.standard_normal(outputs).astype(np.float32) / 8)
        pads = [size // 2] * 4
        return self.node("Conv", x, self.weights((outputs, inputs, size, size), bits), bias, pads=pads)

    def even_conv(self, x: str, inputs: int, outputs: int) -> str:
        """A 3x3 convolution whose weights are whole tenths, without bias: with an input in whole tenths, its sums are
        whole hundredths, of which float32 knows few."""
        q = self.constant(self.rng.integers(-7, 8, (outputs, inputs, 3, 3)).astype(np.int8))
        scale, zero = self.constant(np.float32(0.1)), self.constant(np.int8(0))
        return self.node("Conv", x, self.node("DequantizeLinear", q, scale, zero))

    def quant(self, x: str, scale: float | np.ndarray, bits: int, *, signed: bool = True) -> str:
        """Quant of QONNX."""
        arguments = [self.constant(np.asarray(value, np.float32)) for value in (scale, 0, bits)]
        return self.node("Quant", x, *arguments, domain=QONNX, signed=int(signed), narrow=0, rounding_mode="ROUND")

    def model(self, y: str | list[str], inputs: list[int | str], opset: int = 21) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "quantized",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                for name in ([y] if isinstance(y, str) else y)
            ],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def deep(seed: int = 0, blocks: int = 3, channels: int = 8) -> ModelProto:
    """Residual blocks of 4-bit convolutions and int8 activations, a pool, and class scores: x [n, 3, 12, 12]."""
    net = Net(seed)
    x = net.quantized(net.conv(net.quantized("x", 0.03, np.int8), 3, channels), 0.05, np.int8)
    for _ in range(blocks):
        y = net.quantized(net.node("Relu", net.conv(x, channels, channels)), 0.1, np.uint8)
        y = net.quantized(net.conv(y, channels, channels), 0.15, np.int8)
        x = net.quantized(net.node("Relu", net.node("Add", x, y)), 0.1, np.uint8)
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Flatten", net.node("GlobalAveragePool", net.conv(x, channels, 10)))
    return net.model(x, ["n", 3, 12, 12])
