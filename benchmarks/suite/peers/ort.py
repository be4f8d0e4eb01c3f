"""onnxruntime: fp32, int8 (QDQ), and for linear layers 2-bit weights (MatMulNBits) and dynamic int8."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import onnx

from ..clock import Clock, LeftOut, timed
from ..graph import MICROSOFT
from ..layers import KINDS, Layer, input_of, int8_model, kind_model, uint8_input
from ..net import Net
from ..networks import image
from ..resnet18 import resnet18
from ..weights import integer_weights

BLOCK = 128
"""Weights of MatMulNBits that share a scale."""


def session_clock(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], threads: int) -> Clock:
    """A model with all optimisations; inputs and outputs stay where they are (IO binding)."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise LeftOut(str(error)) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no base of their own
        raise LeftOut(str(error).strip().splitlines()[0][:200]) from error
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for output in session.get_outputs():
        binding.bind_output(output.name)
    return timed(lambda: session.run_with_iobinding(binding), threads)


def _fp32(layer: Layer, threads: int) -> Clock:
    return session_clock(kind_model(layer, KINDS["fp32/fp32"]), {"x": input_of(layer)}, threads)


def _int8(layer: Layer, threads: int) -> Clock:
    if layer.linear:
        raise LeftOut("see the forms for linear layers")
    inputs = {"x": uint8_input(layer, channels_last=True)}
    return session_clock(int8_model(layer, channels_last=True), inputs, threads)


def _two_bit(layer: Layer, threads: int) -> Clock:
    """Ternary weights in 2 bits, blocks of 128, accuracy level 4: activations become int8 inside."""
    linear = layer.linear
    if linear is None:
        raise LeftOut("for linear layers only")
    g = Net("layer", 0).g
    blocks = linear.inputs // BLOCK
    q = integer_weights("ternary", (linear.outputs, blocks, BLOCK), np.random.default_rng(0)) + np.int8(2)
    fours = q.astype(np.uint8).reshape(linear.outputs, blocks, BLOCK // 4, 4)
    packed = np.bitwise_or.reduce(fours << np.arange(0, 8, 2, dtype=np.uint8), axis=-1).astype(np.uint8)
    x = g.input("x", (linear.rows, linear.inputs))
    scales = np.full(linear.outputs * blocks, linear.inputs**-0.5, np.float32)
    y = g.node(
        "MatMulNBits", [x, g.constant("packed", packed), g.constant("scales", scales)], "product", domain=MICROSOFT,
        K=linear.inputs, N=linear.outputs, bits=2, block_size=BLOCK, accuracy_level=4,
    )  # fmt: skip
    return session_clock(g.model(y, (linear.rows, linear.outputs)), {"x": input_of(layer)}, threads)


def _dynamic_int8(layer: Layer, threads: int) -> Clock:
    """float32 in and out; activations are quantized by their range at run time."""
    linear = layer.linear
    if linear is None:
        raise LeftOut("for linear layers only")
    g = Net("layer", 0).g
    q = np.random.default_rng(0).integers(-127, 128, (linear.inputs, linear.outputs)).astype(np.int8)
    scales = np.full(linear.outputs, linear.inputs**-0.5 / 74, np.float32)
    operands = [g.input("x", (linear.rows, linear.inputs)), g.constant("q", q), g.constant("scales", scales)]
    y = g.node("DynamicQuantizeMatMul", operands, "product", domain=MICROSOFT)
    return session_clock(g.model(y, (linear.rows, linear.outputs)), {"x": input_of(layer)}, threads)


LAYERS = {"fp32": _fp32, "int8": _int8, "2-bit": _two_bit, "dynamic int8": _dynamic_int8}
NETWORKS = {
    "fp32": lambda threads: session_clock(resnet18("float32"), {"x": image()}, threads),
    "int8": lambda threads: session_clock(resnet18("int8"), {"x": image()}, threads),
}
