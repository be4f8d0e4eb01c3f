"""oneDNN through torch: its convolution and matrix product primitives with post-operations, weights packed before.

Maps are channels last, the layout that oneDNN asks for. Calling an operator of torch takes some microseconds, which
count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..clock import Clock, LeftOut, timed
from ..layers import Conv, Layer, input_of, uint8_input

STEP = 0.02


def _torch(threads: int) -> Any:
    try:
        import torch
    except ImportError as error:
        raise LeftOut(str(error)) from error
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return torch


def _chain(torch: Any, x: Any, calls: list[Callable[[Any], Any]], threads: int) -> Clock:
    def run() -> None:
        y = x
        with torch.inference_mode():
            for call in calls:
                y = call(y)

    return timed(run, threads)


def _fp32(layer: Layer, threads: int) -> Clock:
    torch = _torch(threads)
    ops, x = torch.ops.mkldnn, torch.from_numpy(input_of(layer))
    if linear := layer.linear:
        w = torch.randn(linear.outputs, linear.inputs).to_mkldnn()
        return _chain(torch, x, [lambda y: ops._linear_pointwise(y, w, None, "none", [], "")], threads)

    def conv(part: Conv) -> Callable[[Any], Any]:
        pad, stride, shape = [part.kernel // 2] * 2, [part.stride] * 2, [1, part.inputs, part.size, part.size]
        w = torch.randn(part.outputs, part.inputs, part.kernel, part.kernel) * 0.02
        w = ops._reorder_convolution_weight(w, pad, stride, [1, 1], 1, shape)
        bias = torch.randn(part.outputs)
        return lambda y: ops._convolution_pointwise(y, w, bias, pad, stride, [1, 1], 1, "relu", [], "")

    return _chain(torch, x.to(memory_format=torch.channels_last), [conv(part) for part in layer.convs], threads)


def _int8(layer: Layer, threads: int) -> Clock:
    """uint8 activations, int8 weights for each filter, ReLU and requantization to uint8; linear: to float32."""
    torch = _torch(threads)
    ops, x = torch.ops.onednn, torch.from_numpy(uint8_input(layer))
    if linear := layer.linear:
        w = torch.randint(-127, 128, (linear.outputs, linear.inputs), dtype=torch.int8)
        packed = ops.qlinear_prepack(w, [linear.rows, linear.inputs])
        scales, zeros = torch.full((linear.outputs,), 2e-4), torch.zeros(linear.outputs, dtype=torch.int32)
        return _chain(
            torch, x, [
                lambda y: ops.qlinear_pointwise(
                    y, STEP, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
                )
            ], threads,
        )  # fmt: skip

    def conv(part: Conv) -> Callable[[Any], Any]:
        pad, stride, shape = [part.kernel // 2] * 2, [part.stride] * 2, [1, part.inputs, part.size, part.size]
        w = torch.randint(-127, 128, (part.outputs, part.inputs, part.kernel, part.kernel), dtype=torch.int8)
        scales, zeros = torch.full((part.outputs,), 2e-4), torch.zeros(part.outputs, dtype=torch.int32)
        packed = ops.qconv_prepack(w, scales, STEP, 0, stride, pad, [1, 1], 1, shape)
        bias = torch.randn(part.outputs)
        return lambda y: ops.qconv_pointwise(
            y, STEP, 0, packed, scales, zeros, bias, stride, pad, [1, 1], 1, STEP, 0, torch.uint8, "relu", [], ""
        )

    return _chain(torch, x.to(memory_format=torch.channels_last), [conv(part) for part in layer.convs], threads)


LAYERS = {"fp32": _fp32, "int8": _int8}
NETWORKS: dict[str, Callable[[int], Clock]] = {}
