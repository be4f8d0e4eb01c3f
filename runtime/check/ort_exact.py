"""Keeps onnxruntime's sums of 8-bit products exact where the CPU has no instruction for them.

On x86-64 without VNNI its kernels for unsigned activations and signed weights add pairs of products in 16 bits, which
saturate. With unsigned weights, whose zero point is 128 more, they do not, and the model means the same numbers.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np

from ...ir.host import cpu_features

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

WEIGHTS = {
    ("", "QLinearConv"): (3, 5, 2),
    ("", "QLinearMatMul"): (3, 5, 2),
    ("", "ConvInteger"): (1, 3, 2),
    ("", "MatMulInteger"): (1, 3),
    ("com.microsoft", "QGemm"): (3, 5, 2),
    ("com.microsoft", "DynamicQuantizeMatMul"): (1, 3),
    ("com.microsoft", "MatMulIntegerToFloat"): (1, 5),
}
"""Operator -> its inputs that are the weights, their zero point, which may be left out, and the zero point of the
activations, where only unsigned ones go with unsigned weights."""


def saturates() -> bool:
    """Whether onnxruntime's kernels on this CPU may saturate."""
    return platform.machine() == "x86_64" and not {"avx512_vnni", "avx_vnni"} & cpu_features()


def with_unsigned_weights(model: ModelProto) -> ModelProto:
    """A copy of a model, or the model itself where no operator of the table has constant int8 weights."""
    from onnx import ModelProto, TensorProto, numpy_helper, shape_inference

    made = ModelProto()
    made.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in made.graph.initializer}
    typed = shape_inference.infer_shapes(made).graph
    kinds = {port.name: port.type.tensor_type.elem_type for port in (*typed.input, *typed.value_info)}
    kinds |= {name: tensor.data_type for name, tensor in constants.items()}
    shifted: dict[str, str] = {}

    def shift(array: np.ndarray, name: str) -> str:
        """The name of a constant plus 128."""
        if name not in shifted:
            shifted[name] = f"{name}.unsigned"
            unsigned = (array.astype(np.int16) + 128).astype(np.uint8)
            made.graph.initializer.append(numpy_helper.from_array(unsigned, shifted[name]))
        return shifted[name]

    for node in made.graph.node:
        places = WEIGHTS.get((node.domain.replace("ai.onnx", ""), node.op_type))
        if places is None:
            continue
        weights, zero = (constants.get(_input(node, place)) for place in places[:2])
        if places[2:] and TensorProto.UINT8 not in (kinds.get(node.input[0]), kinds.get(_input(node, places[2]))):
            continue
        if weights is None or weights.data_type != TensorProto.INT8 or (zero is None and _input(node, places[1])):
            continue
        node.input[places[0]] = shift(numpy_helper.to_array(weights), weights.name)
        node.input.extend([""] * (places[1] + 1 - len(node.input)))
        none = np.zeros((), np.int8)
        node.input[places[1]] = shift(*((none, "none") if zero is None else (numpy_helper.to_array(zero), zero.name)))
    return made if shifted else model


def _input(node: NodeProto, place: int) -> str:
    return node.input[place] if place < len(node.input) else ""
