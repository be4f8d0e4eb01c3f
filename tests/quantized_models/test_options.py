"""Every operator and option of onnxruntime's quantizers, on one small network of all the operators they know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("onnxruntime")

from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static

import tercet
from tercet.backends.reference import interpreter

from .figures import onnxruntime
from .quantizers import Samples, quiet

OPSET, IR_VERSION = 21, 10
SHAPE = (1, 4, 8, 8)
RNG = np.random.default_rng(5)


def _floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32) * np.float32(0.3)


WEIGHTS = {
    "w1": _floats(8, 4, 3, 3), "b1": _floats(8), "w2": _floats(8, 1, 3, 3), "w3": _floats(4, 8, 1, 1), "b3": _floats(4),
    "gemm": _floats(16, 8), "bias": _floats(16), "matmul": _floats(16, 6), "embedding": _floats(5, 6),
    "shift": _floats(1, 8, 1, 1), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "halves": np.array([4, 4]),
    "scales": np.array([1, 1, 2, 2], np.float32), "flat": np.array([0, -1]), "axes": np.array([2, 3]),
    "which": np.array([3, 1]), "zero": np.zeros((), np.float32), "six": np.array(6, np.float32),
}  # fmt: skip


def everything(*, batch: int | str = 1) -> onnx.ModelProto:
    """x [batch, 4, 8, 8] -> y [batch, 6] float, best [batch, 1] int64."""
    n = helper.make_node
    nodes = [
        n("Pad", ["x", "pads"], ["padded"]),
        n("Conv", ["padded", "w1", "b1"], ["c1"], kernel_shape=[3, 3]),
        n("Relu", ["c1"], ["r1"]),
        n("Conv", ["r1", "w2"], ["c2"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=8),
        n("Clip", ["c2", "zero", "six"], ["k2"]),
        n("Add", ["k2", "r1"], ["sum"]),
        n("MaxPool", ["sum"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        n("Split", ["m", "halves"], ["left", "right"], axis=1),
        n("LeakyRelu", ["left"], ["leaky"], alpha=0.2),
        n("Conv", ["m", "w3", "b3"], ["c3"], kernel_shape=[1, 1]),
        n("Sigmoid", ["c3"], ["gate"]),
        n("Mul", ["right", "gate"], ["gated"]),
        n("Concat", ["leaky", "gated"], ["both"], axis=1),
        n("Mul", ["both", "shift"], ["shifted"]),
        n("AveragePool", ["shifted"], ["a"], kernel_shape=[3, 3]),  # of 9: without ties
        n("Resize", ["a", "", "scales"], ["large"], mode="nearest"),
        n("Transpose", ["large"], ["turned"], perm=[0, 1, 3, 2]),
        n("GlobalAveragePool", ["turned"], ["g"]),
        n("Squeeze", ["g", "axes"], ["squeezed"]),
        n("Unsqueeze", ["squeezed", "axes"], ["unsqueezed"]),
        n("Flatten", ["unsqueezed"], ["f"]),
        n("Gemm", ["f", "gemm", "bias"], ["h"], transB=1),
        n("Relu", ["h"], ["hr"]),
        n("MatMul", ["hr", "matmul"], ["p"]),
        n("Gather", ["embedding", "which"], ["e"]),
        n("MatMul", ["p", "turned_e"], ["scores"]),
        n("Transpose", ["e"], ["turned_e"], perm=[1, 0]),
        n("Softmax", ["p"], ["soft"], axis=-1),
        n("Concat", ["soft", "scores"], ["y"], axis=-1),
        n("ArgMax", ["f"], ["best"], axis=-1),
    ]
    nodes.insert(25, nodes.pop(26))  # the transpose of the embedding comes before its use
    graph = helper.make_graph(
        nodes,
        "everything",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *SHAPE[1:]])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 8]),
            helper.make_tensor_value_info("best", TensorProto.INT64, [batch, 1]),
        ],
        [numpy_helper.from_array(array, name) for name, array in WEIGHTS.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def samples(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *SHAPE[1:])).astype(np.float32)


STATIC: dict[str, dict[str, Any]] = {
    "qdq": {},
    "qdq_channels": {"per_channel": True},
    "qdq_uint8_weights": {"weight_type": QuantType.QUInt8, "activation_type": QuantType.QUInt8},
    "qdq_symmetric": {"extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True}},
    "qdq_pairs": {"extra_options": {"DedicatedQDQPair": True, "AddQDQPairToWeight": True}},
    "qdq_float_bias": {"extra_options": {"QuantizeBias": False}},
    "qdq_forced": {"extra_options": {"ForceQuantizeNoInputCheck": True}},
    "qdq_foreign": {"extra_options": {"UseQDQContribOps": True}, "per_channel": True},
    "qdq_16_bits": {"activation_type": QuantType.QUInt16, "extra_options": {"UseQDQContribOps": True}},
    "qdq_16_bits_signed": {"activation_type": QuantType.QInt16, "weight_type": QuantType.QInt8, "per_channel": True},
    "qdq_4_bit_weights": {"weight_type": QuantType.QInt4, "per_channel": True},
    "qdq_reduced": {"reduce_range": True},
    "qdq_entropy": {"calibrate_method": CalibrationMethod.Entropy},
    "qdq_percentile": {"calibrate_method": CalibrationMethod.Percentile},
    "qop": {"quant_format": QuantFormat.QOperator},
    "qop_channels": {"quant_format": QuantFormat.QOperator, "per_channel": True},
    "qop_unsigned": {
        "quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8
    },
    "qop_u8s8": {"quant_format": QuantFormat.QOperator, "activation_type": QuantType.QUInt8, "per_channel": True},
    "qop_forced": {"quant_format": QuantFormat.QOperator, "extra_options": {"ForceQuantizeNoInputCheck": True}},
}  # fmt: skip
DYNAMIC: dict[str, dict[str, Any]] = {
    "dynamic": {},
    "dynamic_channels": {"per_channel": True},
    "dynamic_unsigned": {"weight_type": QuantType.QUInt8},
    "dynamic_symmetric": {"extra_options": {"MatMulConstBOnly": True, "WeightSymmetric": True}},
}


def quantized(name: str, folder: Path, *, batch: int | str = 1) -> Path:
    source, target = folder / "float.onnx", folder / f"{name}.onnx"
    onnx.save(everything(batch=batch), source)
    with quiet():
        if name in DYNAMIC:
            quantize_dynamic(source, target, op_types_to_quantize=["Conv", "MatMul"], **DYNAMIC[name])
        else:
            quantize_static(source, target, Samples("x", samples(16)), **STATIC[name])
    return target


def share_of_steps(have: np.ndarray, want: np.ndarray) -> float:
    """The share of elements that are not equal within float32."""
    return float((np.abs(have - want) > 1e-5 * np.abs(want).max()).mean())


@pytest.mark.parametrize("name", [*STATIC, *DYNAMIC])
def test_import_is_onnxruntimes(name: str, tmp_path: Path) -> None:
    """Of many samples few differ: a tie of one quantizer moves what follows."""
    path, x = quantized(name, tmp_path), samples(25)
    program = tercet.import_model(path)
    have = [interpreter.run(program, {"x": sample[None]}) for sample in x]
    want = onnxruntime(path, x)
    for port in ("y", "best"):
        mine = np.concatenate([result[port] for result in have])
        assert mine.dtype == want[port].dtype and mine.shape == want[port].shape
        assert share_of_steps(mine, want[port]) <= 0.02, port


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qdq_channels", "qop_u8s8", "dynamic_channels"])
def test_compiled_network(name: str, tmp_path: Path) -> None:
    """A symbolic batch, so that dynamic scales are those of each sample."""
    path, x = quantized(name, tmp_path, batch="N"), samples(50)
    made = tercet.compile(path, tmp_path / "model.tercet")
    assert tercet.verify(made.path, path).ok
    with tercet.load(made.path) as loaded:
        have, want = loaded.run({"x": x}), onnxruntime(path, x)
    assert share_of_steps(have["y"], want["y"]) <= 0.02
    assert share_of_steps(have["best"], want["best"]) <= 0.02
