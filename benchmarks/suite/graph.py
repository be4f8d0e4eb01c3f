"""Writing ONNX graphs node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"
MICROSOFT = "com.microsoft"
OPSET, IR_VERSION = 17, 8


class Graph:
    """A graph under construction: methods append a node and return the name of its output, which is the node's name.

    standard: quantizers are written in standard float32 operators instead of QONNX, with the same meaning.
    """

    def __init__(self, name: str, *, standard: bool = False) -> None:
        self.name, self.standard = name, standard
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int], dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, name: str, value: np.ndarray | float) -> str:
        """An initializer; plain floats become float32. A name is stored once."""
        if name not in self.constants:
            array = np.asarray(value, np.float32) if isinstance(value, float) else np.ascontiguousarray(value)
            self.constants[name] = numpy_helper.from_array(array.reshape(np.shape(value)), name)
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, *, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def conv(self, x: str, w: str, name: str, *, kernel: int, stride: int = 1, bias: str = "", groups: int = 1) -> str:
        """A square convolution that pads by half its kernel."""
        inputs = [x, w, bias] if bias else [x, w]
        pads, strides = [kernel // 2] * 4, [stride] * 2
        return self.node("Conv", inputs, name, kernel_shape=[kernel] * 2, strides=strides, pads=pads, group=groups)

    def quant(self, x: str, name: str, *, bits: int, scale: float = 1.0, signed: bool = True) -> str:
        """A QONNX quantizer to `bits` bits, symmetric when signed: 2 signed bits are -1, 0, 1 and 1 bit is -1, 1."""
        if self.standard:
            return self._standard_quant(x, name, bits, scale, signed)
        if bits == 1:
            return self.node("BipolarQuant", [x, self.constant(f"scale_{scale:g}", scale)], name, domain=QONNX)
        operands = [
            x, self.constant(f"scale_{scale:g}", scale), self.constant("zero", 0.0),
            self.constant(f"bits_{bits}", float(bits)),
        ]  # fmt: skip
        return self.node(
            "Quant", operands, name, domain=QONNX, signed=int(signed), narrow=int(signed), rounding_mode="ROUND"
        )

    def _standard_quant(self, x: str, name: str, bits: int, scale: float, signed: bool) -> str:
        if bits == 1:
            sides = [self.constant(f"plus_{scale:g}", scale), self.constant(f"minus_{scale:g}", -scale)]
            positive = self.node("GreaterOrEqual", [x, self.constant("zero", 0.0)], f"{name}_positive")
            return self.node("Where", [positive, *sides], name)
        high = float(2 ** (bits - 1) - 1 if signed else 2**bits - 1)
        bounds = [self.constant(f"low_{bits}", -high if signed else 0.0), self.constant(f"high_{bits}", high)]
        step = self.constant(f"scale_{scale:g}", scale)
        q = self.node("Round", [self.node("Div", [x, step], f"{name}_steps")], f"{name}_round")
        return self.node("Mul", [self.node("Clip", [q, *bounds], f"{name}_clip"), step], name)

    def quantize(self, x: str, name: str, scale: float, zero: np.ndarray) -> str:
        """QuantizeLinear to the type of `zero`, then DequantizeLinear."""
        q = self.node("QuantizeLinear", [x, *self._scale_and_zero(name, scale, zero)], f"{name}_q")
        return self.dequantize(q, name, scale, zero)

    def dequantize(self, q: str, name: str, scale: float, zero: np.ndarray) -> str:
        return self.node("DequantizeLinear", [q, *self._scale_and_zero(name, scale, zero)], name)

    def quantized_constant(self, name: str, q: np.ndarray, scale: np.ndarray) -> str:
        """DequantizeLinear of an integer constant with a scale for each index of axis 0, without zero points."""
        zero = np.zeros(scale.shape, q.dtype)
        operands = [
            self.constant(f"{name}_q", q), self.constant(f"{name}_scale", scale.astype(np.float32)),
            self.constant(f"{name}_zero", zero),
        ]  # fmt: skip
        return self.node("DequantizeLinear", operands, name, axis=0)

    def _scale_and_zero(self, name: str, scale: float, zero: np.ndarray) -> tuple[str, str]:
        return self.constant(f"{name}_scale", float(scale)), self.constant(f"{name}_zero", zero)

    def model(self, output: str, shape: Sequence[int], dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
        """The finished model; its one output is renamed to `y`."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = ["y" if name == output else name for name in names]
        y = helper.make_tensor_value_info("y", dtype, shape)
        graph = helper.make_graph(self.nodes, self.name, self.inputs, [y], list(self.constants.values()))
        domains = {node.domain for node in self.nodes} - {""}
        opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
