"""The whole networks that are measured: ResNet-18 for an image of 224 x 224."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx

from .resnet18 import resnet18

NETWORKS: dict[str, Callable[..., onnx.ModelProto]] = {
    "ternary": partial(resnet18, "ternary"),
    "ternary, int8 ends": partial(resnet18, "ternary", ends="int8"),
    "ternary, float shortcut": partial(resnet18, "ternary", shortcut="float"),
    "ttq/fp32": partial(resnet18, "ttq"),
    "ternary/fp32": partial(resnet18, "twn"),
    "int8": partial(resnet18, "int8"),
    "fp32": partial(resnet18, "float32"),
}
"""The forms that tercet compiles, made with the further options of `resnet18`."""


def image() -> np.ndarray:
    """float32 [1, 3, 224, 224], normally distributed."""
    return np.random.default_rng(1).normal(size=(1, 3, 224, 224)).astype(np.float32)
