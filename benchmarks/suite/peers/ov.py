"""OpenVINO: fp32, int8 (QDQ) and 1-bit BinaryConvolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from ..clock import Clock, LeftOut, timed
from ..layers import KINDS, Layer, input_of, int8_model, kind_model, uint8_input
from ..networks import image
from ..resnet18 import resnet18
from ..weights import integer_weights


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise LeftOut(str(error)) from error
    return openvino


def _request(model: Any, x: np.ndarray, threads: int, **options: Any) -> Any:
    """An inference request for a model in memory, its input set."""
    ov = _openvino()
    settings = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False, **options,
    }  # fmt: skip
    try:
        request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise LeftOut(str(error).strip().splitlines()[-1][:200]) from error
    request.set_input_tensor(ov.Tensor(x))
    return request


def _onnx_clock(model: onnx.ModelProto, x: np.ndarray, threads: int) -> Clock:
    ov = _openvino()
    return timed(_request(ov.Core().read_model(model.SerializeToString()), x, threads).infer, threads)


def _fp32(layer: Layer, threads: int) -> Clock:
    return _onnx_clock(kind_model(layer, KINDS["fp32/fp32"]), input_of(layer), threads)


def _int8(layer: Layer, threads: int) -> Clock:
    if layer.linear:
        raise LeftOut("convolutions only")
    return _onnx_clock(int8_model(layer, channels_last=True), uint8_input(layer, channels_last=True), threads)


def _binary(layer: Layer, threads: int) -> Clock:
    """The BinaryConvolution nodes alone, by their share in OpenVINO's own profile: it computes the binarization before
    them and the conversion to its layout by slow general code, which a network would not have to use."""
    if layer.linear:
        raise LeftOut("convolutions only")
    ov = _openvino()
    from openvino import opset1 as ops  # the last set whose Python functions include BinaryConvolution

    rng, first = np.random.default_rng(0), layer.convs[0]
    kept = []  # OpenVINO's constants look at memory that is not theirs
    y = x = ops.parameter([1, first.inputs, first.size, first.size], np.float32, name="x")
    for conv in layer.convs:
        edge = ops.constant((rng.normal(size=(1, conv.inputs, 1, 1)) * 0.1).astype(np.float32))
        one = np.ones((1, 1, 1, 1), np.float32)
        bits = ops.fake_quantize(y, edge, edge, ops.constant(-one), ops.constant(one), 2)
        shape = [conv.outputs, conv.inputs, conv.kernel, conv.kernel]
        packed = np.packbits(integer_weights("binary", tuple(shape), rng).reshape(-1) > 0)
        kept.append(packed)
        weights = ov.op.Constant(ov.Tensor(packed, ov.Shape(shape), ov.Type.u1))
        pads, strides = [conv.kernel // 2] * 2, [conv.stride] * 2
        y = ops.binary_convolution(bits, weights, strides, pads, pads, [1, 1], "xnor-popcount", 0.0)
    request = _request(ov.Model([y], [x]), input_of(layer), threads, PERF_COUNT=True)
    whole = timed(request.infer, threads)

    def clock(calls: int, kept: list[np.ndarray] = kept) -> float:
        seconds = whole(calls)
        times = [(node.node_type, node.real_time) for node in request.profiling_info]
        inside = sum(time.total_seconds() for kind, time in times if kind == "BinaryConvolution")
        return seconds * inside / sum(time.total_seconds() for _, time in times)

    return clock


LAYERS = {"fp32": _fp32, "int8": _int8, "binary": _binary}
NETWORKS = {
    "fp32": lambda threads: _onnx_clock(resnet18("float32"), image(), threads),
    "int8": lambda threads: _onnx_clock(resnet18("int8"), image(), threads),
}
