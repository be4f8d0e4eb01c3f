"""Conv, pools and batch norm against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .helpers import assert_like_onnxruntime, floats, integers, model, node

CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 8, 9), (4, 3, 3, 3), {}),
    "1d": ((2, 3, 11), (4, 3, 3), {"pads": [2, 1], "strides": [2]}),
    "groups": ((1, 4, 6, 6), (8, 2, 3, 3), {"group": 2}),
    "depthwise": ((1, 4, 6, 6), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 2), {"dilations": [2, 3]}),
    "asymmetric": ((1, 2, 7, 7), (3, 2, 3, 3), {"pads": [0, 2, 1, 0], "strides": [2, 3]}),
    "same upper": ((1, 2, 7, 8), (3, 2, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 2, 7, 8), (3, 2, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 2, 7, 8), (3, 2, 4, 3), {"auto_pad": "VALID"}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("bias", [False, True])
def test_conv(case: str, bias: bool) -> None:
    x, w, attributes = CONVOLUTIONS[case]
    constants = {"w": floats(*w, seed=1), **({"b": floats(w[0], seed=2)} if bias else {})}
    feeds = {"x": floats(*x)}
    assert_like_onnxruntime(model(node("Conv", "x w b" if bias else "x w", **attributes), feeds, constants), feeds)


def test_conv_of_a_weight_computed_at_run_time() -> None:
    feeds = {"x": floats(1, 2, 5, 5), "w": floats(3, 2, 3, 3, seed=1)}
    assert_like_onnxruntime(model(node("Conv", "x w"), feeds), feeds)


POOLS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 2, 6, 6), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "1d": ((1, 2, 9), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    "3d": ((1, 2, 5, 4, 4), {"kernel_shape": [2, 2, 2]}),
    "pads": ((1, 2, 7, 7), {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1], "strides": [2, 2]}),
    "same lower": ((1, 2, 7, 8), {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "same upper": ((1, 2, 7, 8), {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER"}),
    "ceil": ((1, 1, 4, 4), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    "ceil pads": ((1, 2, 7, 8), {"kernel_shape": [3, 3], "strides": [3, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    "ceil starts in padding": ((1, 1, 2, 2), {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1}),
    "ceil drops a window": ((1, 1, 5, 5), {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1] * 4, "ceil_mode": 1}),
}


@pytest.mark.parametrize("case", POOLS)
def test_max_pool(case: str) -> None:
    shape, attributes = POOLS[case]
    feeds = {"x": floats(*shape)}
    assert_like_onnxruntime(model(node("MaxPool", "x", **attributes), feeds), feeds)


def test_max_pool_dilated_and_of_integers() -> None:
    feeds = {"x": integers(-128, 127, 1, 2, 9, 9, dtype=np.int8)}
    pool = node("MaxPool", "x", kernel_shape=[3, 2], dilations=[2, 3], strides=[2, 1], pads=[1, 0, 1, 1])
    assert_like_onnxruntime(model(pool, feeds, outputs={"y": np.int8}), feeds)


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("count_include_pad", [0, 1])
def test_average_pool(case: str, count_include_pad: int) -> None:
    shape, attributes = POOLS[case]
    feeds = {"x": floats(*shape)}
    pool = node("AveragePool", "x", count_include_pad=count_include_pad, **attributes)
    assert_like_onnxruntime(model(pool, feeds, opset=19), feeds)


def test_average_pool_dilated() -> None:
    feeds = {"x": floats(1, 2, 9, 9)}
    pool = node("AveragePool", "x", kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 1, 1])
    assert_like_onnxruntime(model(pool, feeds, opset=19), feeds)


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pool(op_type: str) -> None:
    feeds = {"x": floats(2, 3, 5, 4)}
    assert_like_onnxruntime(model(node(op_type, "x"), feeds), feeds)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization(opset: int) -> None:
    feeds = {"x": floats(2, 3, 4, 4)}
    constants = {n: floats(3, seed=i) for i, n in enumerate(("scale", "bias", "mean"))}
    constants["var"] = np.abs(floats(3, seed=5)) + np.float32(0.1)
    normal = node("BatchNormalization", "x scale bias mean var", epsilon=1e-3)
    assert_like_onnxruntime(model(normal, feeds, constants, opset=opset), feeds)
