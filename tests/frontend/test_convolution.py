"""Conv, pools and batch norm against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tercet.backends.reference import run
from tercet.frontend.onnx import import_model
from tercet.ir.errors import ModelError
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import TERNARY, element_of, int_type
from tercet.passes.pipeline import graph_passes

from .helpers import assert_close, assert_like_onnxruntime, floats, integers, model, node, onnxruntime

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


TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 5, 6), (3, 4, 3, 3), {}),
    "1d": ((2, 3, 7), (3, 4, 3), {"pads": [1, 0], "strides": [2]}),
    "doubles": ((1, 3, 5, 6), (3, 2, 4, 4), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    "groups": ((1, 4, 5, 6), (4, 3, 3, 3), {"group": 2, "strides": [2, 1]}),
    "depthwise": ((1, 4, 5, 6), (4, 1, 3, 3), {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "dilated": ((1, 2, 5, 6), (2, 3, 3, 2), {"dilations": [2, 3], "strides": [1, 2]}),
    "asymmetric": ((1, 2, 5, 6), (2, 3, 3, 3), {"pads": [0, 2, 1, 0], "strides": [2, 3]}),
    "cuts elements": ((1, 2, 5, 6), (2, 3, 1, 2), {"pads": [2, 1, 1, 2], "strides": [2, 2]}),
    "cuts elements only": ((1, 2, 5, 6), (2, 3, 1, 1), {"pads": [1, 1, 1, 2]}),
    "kernels below the stride": ((1, 2, 4, 4), (2, 3, 1, 2), {"strides": [3, 4]}),
    "output padding": ((1, 2, 5, 6), (2, 3, 3, 3), {"strides": [3, 2], "output_padding": [2, 1], "pads": [1] * 4}),
    "output shape": ((1, 2, 5, 6), (2, 3, 3, 3), {"strides": [2, 3], "output_shape": [10, 16]}),
    "output shape upper": (
        (1, 2, 5, 6), (2, 3, 3, 3), {"strides": [2, 3], "output_shape": [10, 16], "auto_pad": "SAME_UPPER"}
    ),
    "larger output shape": ((1, 2, 5, 6), (2, 3, 3, 3), {"strides": [2, 3], "output_shape": [12, 20]}),
    "same upper": ((1, 2, 5, 6), (2, 3, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 2, 5, 6), (2, 3, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "same of small kernels": ((1, 2, 5, 6), (2, 3, 1, 1), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "valid": ((1, 2, 5, 6), (2, 3, 4, 3), {"auto_pad": "VALID", "strides": [2, 1]}),
}  # fmt: skip


@pytest.mark.parametrize("case", TRANSPOSED)
@pytest.mark.parametrize("constant", [False, True])
def test_conv_transpose(case: str, constant: bool) -> None:
    x, w, attributes = TRANSPOSED[case]
    arrays = {"w": floats(*w, seed=1), "b": floats(w[1] * attributes.get("group", 1), seed=2)}
    feeds = {"x": floats(*x), **({} if constant else arrays)}
    source = model(node("ConvTranspose", "x w b", **attributes), feeds, arrays if constant else None)
    assert_like_onnxruntime(source, feeds)


@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("group", [1, 4])
def test_a_quantized_transposed_convolution_is_one_of_integers(axis: int | None, group: int) -> None:
    """Zeros between the elements and filters turned round keep integers and scales."""
    feeds = {"x": floats(1, 4, 5, 6)}
    w = integers(-1, 1, 4, 4 // group, 3, 3, dtype=np.int8)
    scales = np.float32(0.5) if axis is None else (np.arange(w.shape[1]) + np.float32(0.25)).astype(np.float32)
    constants = {"w": w, "s": scales, "t": np.float32(0.1), "z": np.int8(0), "zs": np.zeros(scales.shape, np.int8)}
    nodes = [
        node("QuantizeLinear", "x t z", "q"), node("DequantizeLinear", "q t z", "xq"),
        node("DequantizeLinear", "w s zs", "wq", **({} if axis is None else {"axis": axis})),
        node("ConvTranspose", "xq wq", strides=[2, 2], pads=[1] * 4, group=group),
    ]  # fmt: skip
    source = model(nodes, feeds, {k: np.asarray(v) for k, v in constants.items()})
    assert_like_onnxruntime(source, feeds)
    program = import_model(source)
    for step in graph_passes():
        step.apply(program)
    assert_close(run(program, feeds)["y"], onnxruntime(source, feeds)["y"])
    (conv,) = (op for op in program.ops if isinstance(op, ConvOp))
    assert element_of(conv.x) == int_type(-128, 127) and element_of(conv.w) == TERNARY


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"group": 3}, "a divisor of 4 channels"),
        ({"output_padding": [1]}, "'output_padding': expected 2 integers"),
        ({"output_shape": [1]}, "'output_shape': expected 2 sizes"),
        ({"pads": [9] * 4}, "nothing is left of the result"),
        ({"kernel_shape": [2, 2]}, "'kernel_shape' is"),
    ],
)
def test_broken_transposed_convolutions(attributes: dict[str, Any], message: str) -> None:
    source = model(node("ConvTranspose", "x w", **attributes), {"x": floats(1, 4, 5, 5)}, {"w": floats(4, 2, 3, 3)})
    with pytest.raises(ModelError, match=message):
        import_model(source)


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
