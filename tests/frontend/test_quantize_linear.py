"""QuantizeLinear, DequantizeLinear and the operators on quantized tensors against onnxruntime.

Weights of uint8 x int8 products stay within -64..64: on a CPU without VNNI onnxruntime adds two products in 16 bits.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper

from tercet.frontend.onnx import import_model
from tercet.ir.errors import ModelError, UnsupportedError

from .helpers import assert_close, assert_like_onnxruntime, floats, integers, interpreted, model, node, onnxruntime

F32 = np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("zero", [0, 5])
@pytest.mark.parametrize("runtime", [False, True])
def test_quantize_per_tensor(dtype: Any, zero: int, runtime: bool) -> None:
    x = np.concatenate([floats(200, scale=1000), np.arange(-20, 20, dtype=F32) * F32(0.25)])
    parameters = {"s": np.array(0.5, F32), "z": np.array(zero, dtype)}
    feeds = {"x": x, **(parameters if runtime else {})}
    source = model(
        node("QuantizeLinear", "x s z"), feeds, {} if runtime else parameters, outputs={"y": dtype}, opset=21
    )
    assert_like_onnxruntime(source, feeds)


def test_quantize_without_zero_point_is_uint8() -> None:
    feeds = {"x": floats(50, scale=100)}
    assert_like_onnxruntime(
        model(node("QuantizeLinear", "x s"), feeds, {"s": np.array([0.7], F32)}, outputs={"y": np.uint8}), feeds
    )
    as_int8 = node("QuantizeLinear", "x s", output_dtype=3)
    assert_like_onnxruntime(model(as_int8, feeds, {"s": np.array(0.7, F32)}, outputs={"y": np.int8}, opset=21), feeds)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("direction", ["QuantizeLinear", "DequantizeLinear"])
def test_per_axis(axis: int, direction: str) -> None:
    shape = (3, 4, 5)
    x = floats(*shape, scale=50) if direction == "QuantizeLinear" else integers(-128, 127, *shape, dtype=np.int8)
    size = shape[axis]
    constants = {"s": np.abs(floats(size, seed=1)) + F32(0.1), "z": integers(-9, 9, size, dtype=np.int8)}
    target = np.int8 if direction == "QuantizeLinear" else F32
    source = model(node(direction, "x s z", axis=axis), {"x": x}, constants, outputs={"y": target}, opset=13)
    assert_like_onnxruntime(source, {"x": x})


@pytest.mark.parametrize("runtime", [False, True])
@pytest.mark.parametrize("direction", ["QuantizeLinear", "DequantizeLinear"])
def test_blocked(direction: str, runtime: bool) -> None:
    x = floats(4, 10, scale=50) if direction == "QuantizeLinear" else integers(-128, 127, 4, 10, dtype=np.int8)
    parameters = {"s": np.abs(floats(4, 3, seed=1)) + F32(0.1), "z": integers(-9, 9, 4, 3, dtype=np.int8)}
    feeds = {"x": x, **(parameters if runtime else {})}
    target = np.int8 if direction == "QuantizeLinear" else F32
    quantizer = node(direction, "x s z", axis=1, block_size=4)
    source = model(quantizer, feeds, {} if runtime else parameters, outputs={"y": target}, opset=21)
    assert_like_onnxruntime(source, feeds)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32])
def test_dequantize(dtype: Any) -> None:
    info = np.iinfo(dtype)
    feeds = {"x": integers(max(info.min, -(2**24)), min(info.max, 2**24), 30, dtype=dtype)}
    constants = {"s": np.array(0.03, F32)}
    if dtype != np.int32:
        constants["z"] = np.array(3, dtype)
    inputs = "x s z" if dtype != np.int32 else "x s"
    assert_like_onnxruntime(model(node("DequantizeLinear", inputs), feeds, constants, opset=21), feeds)


@pytest.mark.parametrize("dtype", [ml_dtypes.int4, ml_dtypes.uint4])
def test_weights_of_four_bits(dtype: Any) -> None:
    info = ml_dtypes.iinfo(dtype)
    w = integers(info.min, info.max, 7, 3, dtype=np.int8).astype(dtype)
    feeds = {"x": floats(2, 7)}
    nodes = [node("DequantizeLinear", "w s z", "f", axis=1), node("MatMul", "x f")]
    constants = {"w": w, "s": np.abs(floats(3, seed=1)), "z": np.array([1, 0, 2]).astype(dtype)}
    assert_like_onnxruntime(model(nodes, feeds, constants, opset=21), feeds)


def test_activations_of_four_bits() -> None:
    feeds = {"x": floats(3, 9, scale=20)}
    constants = {"s": np.array(1.5, F32), "z": np.array(2).astype(ml_dtypes.int4)}
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z")]
    assert_like_onnxruntime(model(nodes, feeds, constants, opset=21), feeds)


@pytest.mark.parametrize(("dtype", "lo", "hi"), [(ml_dtypes.int2, -2, 1), (ml_dtypes.uint2, 0, 3)])
def test_two_bits(dtype: Any, lo: int, hi: int) -> None:
    """Weights packed four a byte, and activations, by their definition."""
    w, x = integers(lo, hi, 5, 3), floats(4, 5, scale=3)
    constants = {"w": w.astype(dtype), "s": np.array(0.5, F32), "z": np.array(1).astype(dtype)}
    nodes = [
        node("DequantizeLinear", "w s", "f"),
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "q s z", "xq"),
        node("MatMul", "xq f"),
    ]
    y = interpreted(model(nodes, {"x": x}, constants, opset=25), {"x": x})["y"]
    xq = (np.clip(np.rint(x / F32(0.5)) + 1, lo, hi) - 1) * F32(0.5)
    assert_close(y, (xq @ (w * F32(0.5))).astype(F32))


def test_a_quantized_output_below_a_byte_is_a_byte() -> None:
    feeds = {"x": floats(6, scale=9)}
    constants = {"s": np.array(1.0, F32), "z": np.array(0).astype(ml_dtypes.int4)}
    source = model(node("QuantizeLinear", "x s z"), feeds, constants, outputs={"y": ml_dtypes.int4}, opset=21)
    y = interpreted(source, feeds)["y"]
    assert y.dtype == np.int8
    np.testing.assert_array_equal(y, np.clip(np.rint(feeds["x"]), -8, 7))


def test_scales_are_checked() -> None:
    feeds = {"x": floats(2, 3)}
    for scale, message in (
        ([0.0], "the scale is zero"),
        ([1.0, 0.0, 2.0], "zero in channel 1"),
        ([np.inf], "not finite"),
        ([1.0, 2.0], "does not fit axis 1"),
    ):
        with pytest.raises(ModelError, match=message):
            import_model(
                model(node("QuantizeLinear", "x s"), feeds, {"s": np.array(scale, F32)}, outputs={"y": np.uint8})
            )
    whole = {"s": np.array(1, np.int32)}
    with pytest.raises(UnsupportedError, match="the scale of dtype int32"):
        import_model(model(node("QuantizeLinear", "x s"), feeds, whole, outputs={"y": np.uint8}, opset=19))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("runtime", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_qlinear_conv(dtype: Any, runtime: bool, bias: bool) -> None:
    info = np.iinfo(dtype)
    x = {"x": integers(info.min, info.max, 1, 4, 6, 7, dtype=dtype)}
    parameters = {
        "xs": np.array(0.02, F32),
        "xz": np.array(info.min + 100, dtype),
        "w": integers(-64, 64, 6, 2, 3, 3, dtype=np.int8),
        "ws": np.abs(floats(6, seed=3)) * F32(0.02) + F32(0.001),
        "wz": np.zeros(6, np.int8),
        "ys": np.array(0.05, F32),
        "yz": np.array(info.min + 120, dtype),
    }
    if bias:
        parameters["b"] = integers(-1000, 1000, 6, dtype=np.int32)
    feeds = {**x, **(parameters if runtime else {})}
    conv = node("QLinearConv", "x xs xz w ws wz ys yz" + " b" * bias, pads=[1, 0, 2, 1], strides=[1, 2], group=2)
    source = model(conv, feeds, {} if runtime else parameters, outputs={"y": dtype})
    y = assert_like_onnxruntime(source, feeds)["y"]
    assert len(np.unique(y)) > 20  # not all saturated


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_qlinear_matmul(batched: bool, columns: bool) -> None:
    lead = (2,) if batched else ()
    feeds = {"a": integers(0, 255, *lead, 4, 9, dtype=np.uint8)}
    constants = {
        "as": np.array(0.02, F32),
        "az": np.array(120, np.uint8),
        "b": integers(-64, 64, 9, 5, dtype=np.int8),
        "bs": np.abs(floats(5, seed=3)) * F32(0.02) + F32(0.001) if columns else np.array(0.01, F32),
        "bz": np.zeros(5, np.int8) if columns else np.array(0, np.int8),
        "ys": np.array(0.03, F32),
        "yz": np.array(110, np.uint8),
    }
    source = model(node("QLinearMatMul", "a as az b bs bz ys yz"), feeds, constants, outputs={"y": np.uint8})
    assert_like_onnxruntime(source, feeds)


def test_qlinear_matmul_scales_by_row() -> None:
    a, b = integers(0, 255, 4, 9, dtype=np.uint8), integers(-9, 9, 9, 5, dtype=np.int8)
    rows = np.abs(floats(4, seed=3)) * F32(0.02) + F32(0.01)
    constants = {
        "as": rows, "az": np.array([1, 2, 3, 4], np.uint8), "b": b, "bs": np.array(0.5, F32),
        "bz": np.array(1, np.int8), "ys": np.array(2.0, F32), "yz": np.array(7, np.uint8),
    }  # fmt: skip
    source = model(node("QLinearMatMul", "a as az b bs bz ys yz"), {"a": a}, constants, outputs={"y": np.uint8})
    total = (a.astype(np.int64) - np.array([[1], [2], [3], [4]])) @ (b.astype(np.int64) - 1)
    factor = rows[:, None] * F32(0.5) / F32(2)
    want = np.clip(np.rint(total.astype(F32) * factor) + 7, 0, 255).astype(np.uint8)
    assert_close(interpreted(source, {"a": a})["y"], want)


@pytest.mark.parametrize("inputs", ["x w", "x w xz", "x w xz wz"])
def test_conv_integer(inputs: str) -> None:
    feeds = {"x": integers(0, 255, 2, 3, 6, 6, dtype=np.uint8)}
    constants = {
        "w": integers(0, 255, 4, 3, 3, 3, dtype=np.uint8),
        **({"xz": np.array(7, np.uint8)} if "xz" in inputs else {}),
        **({"wz": np.array(130, np.uint8)} if "wz" in inputs else {}),
    }
    conv = node("ConvInteger", inputs, pads=[1, 1, 1, 1])
    source = model(conv, feeds, constants, outputs={"y": np.int32}, opset=13)
    assert_like_onnxruntime(source, feeds)


@pytest.mark.parametrize("inputs", ["a b", "a b az", "a b az bz"])
@pytest.mark.parametrize("columns", [False, True])
def test_matmul_integer(inputs: str, columns: bool) -> None:
    feeds = {"a": integers(0, 255, 2, 4, 9, dtype=np.uint8)}
    constants = {
        "b": integers(-64, 64, 9, 5, dtype=np.int8),
        **({"az": np.array(12, np.uint8)} if "az" in inputs else {}),
        **({"bz": integers(-9, 9, 5, dtype=np.int8) if columns else np.array(3, np.int8)} if "bz" in inputs else {}),
    }
    source = model(node("MatMulInteger", inputs), feeds, constants, outputs={"y": np.int32})
    assert_like_onnxruntime(source, feeds)


def test_qcdq_ternary_weight() -> None:
    """Brevitas writes ternary weights as int8 -> Clip -> DequantizeLinear; the clip of the constant folds."""
    feeds = {"x": floats(2, 3, 5, 5)}
    constants = {
        "w": integers(-1, 1, 4, 3, 3, 3, dtype=np.int8),
        "lo": np.array(-1, np.int8),
        "hi": np.array(1, np.int8),
        "s": np.array(0.25, F32),
        "z": np.array(0, np.int8),
    }
    nodes = [node("Clip", "w lo hi", "c"), node("DequantizeLinear", "c s z", "f"), node("Conv", "x f")]
    source = model(nodes, feeds, constants)
    program = import_model(source)
    assert "tn.clip" not in program.text()
    assert "!tn.int<-1:1>" in program.text()
    assert_close(interpreted(program, feeds)["y"], onnxruntime(source, feeds)["y"])


def test_quantized_to_other_dtypes_is_refused() -> None:
    feeds = {"x": floats(3)}
    zero = {"s": np.array(1.0, F32), "z": np.array(0).astype(ml_dtypes.float8_e4m3fn)}
    source = model(node("QuantizeLinear", "x s z"), feeds, zero, outputs={"y": F32}, opset=19)
    source.graph.output[0].type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(zero["z"].dtype)
    with pytest.raises(UnsupportedError, match="quantization to float8_e4m3fn is not supported"):
        import_model(source)
