"""Which kernels are depthwise convolutions that vectors of 32-bit sums compute exactly."""

from __future__ import annotations

import numpy as np

from .....ir.types import element_of, is_float, range_of, storage_dtype
from ...dense.problem import Conv, bias_of, read_problem
from ...engine import Kernel
from ...limits import INT32_MAX
from ...refusal import Refused

ELEMENTS = {"int8": "DEPTHWISE_I8", "uint8": "DEPTHWISE_U8", "float32": "DEPTHWISE_F32"}
"""`enum depthwise_element` of the inputs."""


def read_depthwise(kernel: Kernel) -> Conv:
    """The kernel's convolution, one input channel for each filter. Raises Refused where it is none, or not exact."""
    conv = read_problem(kernel)
    if not isinstance(conv, Conv) or conv.channels != 1 or conv.groups == 1:
        raise Refused("expected a depthwise convolution")
    if storage_dtype(element_of(conv.x)).name not in ELEMENTS:
        raise Refused("inputs that are neither floats nor bytes")
    if not is_float(conv.x):
        if conv.weights.min() < -128 or conv.weights.max() > 127:
            raise Refused("weights beyond 8 bits")
        if _largest_sum(conv) + _largest(bias_of(kernel, conv)) > INT32_MAX:
            raise Refused("sums beyond 32 bits")
    return conv


def _largest_sum(conv: Conv) -> int:
    taps = conv.kernel[0] * conv.kernel[1]
    return taps * max(abs(v) for v in range_of(element_of(conv.x))) * _largest(conv.weights)


def _largest(array: np.ndarray | None) -> int:
    return 0 if array is None else int(np.abs(array.astype(np.int64)).max())
