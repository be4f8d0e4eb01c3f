"""Quantized graphs of the forms that public bug reports describe, as small models with values of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto

import tercet
from tercet.backends.reference import interpreter

from .faults import check_compiled, compare
from .quantized_cases import F32, I8, U8, Case, bundle, floats, integers, ms, node, onnxruntime, scale, triples, zero


def dequantized(*names: str, **attributes: Any) -> list[NodeProto]:
    """`w` -> DequantizeLinear(w, ws, wz) = wf."""
    return [node("DequantizeLinear", f"{n} {n}s {n}z", f"{n}f", **attributes) for n in names]


def between(name: str, result: str) -> list[NodeProto]:
    """A quantizer of `name` with the parameters of `result`."""
    return [
        node("QuantizeLinear", f"{name} {result}s {result}z", f"{result}q"),
        node("DequantizeLinear", f"{result}q {result}s {result}z", result),
    ]


IMAGE = integers(U8, 1, 3, 8, 8)
TOKENS = floats(2, 5, 8)

REPORTED = {
    # tum-ei-eda: a speech network in QOperator form
    "speech": Case(
        [
            node("QuantizeLinear", "x xs xz", "xq"),
            node("QLinearConv", "xq xs xz w ws wz cs cz b", "c", pads=[1, 1, 1, 1], strides=[2, 1]),
            ms("QLinearAveragePool", "c cs cz cs cz", "p", kernel_shape=[4, 7], strides=[4, 7]),
            node("DequantizeLinear", "p cs cz", "d"),
            node("Transpose", "d", "t", perm=[0, 2, 3, 1]),
            node("QuantizeLinear", "t cs cz", "q"),
            node("QLinearMatMul", "q cs cz m ms mz ys yz", "n"),
            node("DequantizeLinear", "n ys yz", "f"),
            node("Add", "f bias", "a"),
            node("Softmax", "a", axis=-1),
        ],
        {"x": floats(1, 1, 8, 7, scale=3)},
        {
            "w": integers(I8, 6, 1, 3, 3, most=64), "ws": scale(0.02), "wz": zero(I8, 0),
            "b": integers(np.int32, 6, most=500), "m": integers(I8, 6, 4, most=64), "ms": scale(0.02),
            "mz": zero(I8, 0), "bias": floats(4),
        } | triples(U8, x=(0.07, 3), c=(0.0613, -9), y=(0.0437, 4)),
    ),
    # onnx-mlir 1784: an int32 bias of rank 1, its scale of one element, no axis
    "bias_of_one_scale": Case(
        [*dequantized("w", axis=0), *dequantized("b"), node("Conv", "x wf bf")],
        {"x": floats(1, 3, 6, 6)},
        {
            "w": integers(I8, 4, 3, 3, 3), "ws": scale([0.1, 0.2, 0.01, 0.3]), "wz": zero(I8, [0] * 4),
            "b": integers(np.int32, 4, most=999), "bs": scale([0.01]), "bz": np.zeros(1, np.int32),
        },
    ),
    # onnxruntime 25489: weights of rank 3, their zero points for each column of each matrix
    "stacked_weights": Case(
        [
            node("DynamicQuantizeLinear", "x", "q s z"),
            node("MatMulInteger", "q w z wz", "i"),
            node("Cast", "i", "c", to=1),
            node("Mul", "s ws", "sw"),
            node("Mul", "c sw"),
        ],
        {"x": TOKENS},
        {"w": integers(I8, 2, 8, 3, most=64), "wz": zero(I8, 2), "ws": np.abs(floats(2, 1, 3))},
    ),
    # onnxruntime 17278, 13478: attention, a product of two activations and a softmax between quantizers
    "attention": Case(
        [
            node("QuantizeLinear", "x xs xz", "xq"),
            node("QLinearMatMul", "xq xs xz a as wz qs qz", "q"),
            node("QLinearMatMul", "xq xs xz b as wz qs qz", "k"),
            node("Transpose", "k", "kt", perm=[0, 2, 1]),
            node("QLinearMatMul", "q qs qz kt qs qz ss sz", "s"),
            node("DequantizeLinear", "s ss sz", "sf"),
            node("Softmax", "sf", "p", axis=-1),
            node("QuantizeLinear", "p ps pz", "pq"),
            node("QLinearMatMul", "pq ps pz xq xs xz ys yz", "y"),
        ],
        {"x": TOKENS},
        {
            "a": integers(U8, 8, 8, seed=1), "b": integers(U8, 8, 8, seed=2), "as": scale(0.011), "wz": zero(U8, 3),
        } | triples(U8, x=(0.0213, 1), q=(0.0317, -4), s=(0.1371, 5), p=(1 / 256, -128), y=(0.0193, 7)),
        {"y": U8},
    ),
    # onnxruntime 1689: ConvInteger whose weights have a scale for each filter, shaped for the product
    "integer_conv_by_filter": Case(
        [
            node("DynamicQuantizeLinear", "x", "q s z"),
            node("ConvInteger", "q w z wz", "i", pads=[1, 1, 1, 1]),
            node("Cast", "i", "c", to=1),
            node("Mul", "s ws", "sw"),
            node("Mul", "c sw"),
        ],
        {"x": floats(1, 3, 6, 6)},
        {"w": integers(I8, 4, 3, 3, 3), "wz": zero(I8, 0), "ws": np.abs(floats(4, 1, 1))},
    ),
    # torch-mlir 4645: a first convolution 7x7 by channel with a bias
    "stem": Case(
        node("QLinearConv", "x xs xz w ws wz ys yz b", pads=[3, 3, 3, 3], strides=[2, 2], kernel_shape=[7, 7]),
        {"x": IMAGE},
        {
            "w": integers(I8, 5, 3, 7, 7, most=64), "ws": np.abs(floats(5)) * F32(0.01), "wz": zero(I8, [0] * 5),
            "b": integers(np.int32, 5, most=5000),
        } | triples(U8, x=(0.0187, -14), y=(0.0713, -14)),
        {"y": U8},
    ),
    # openvino 17461: x * sigmoid(x) and joins in a detector's neck
    "neck": Case(
        [
            ms("QLinearSigmoid", "x xs xz gs gz", "g"),
            ms("QLinearMul", "x xs xz g gs gz ms mz", "m"),
            node("MaxPool", "m", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Resize", "p - up", "r", mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric"),
            ms("QLinearConcat", "ys yz r ms mz x xs xz m ms mz", "j", axis=1),
            ms("QLinearAdd", "j ys yz j ys yz ys yz"),
        ],
        {"x": IMAGE},
        {"up": scale([1, 1, 2, 2])} | triples(U8, x=(0.0513, 9), g=(1 / 256, -128), m=(0.0379, -100), y=(0.0827, 3)),
        {"y": U8},
    ),
    # onnxruntime-inference-examples 84: DenseNet, every layer reads a join of all before it
    "dense_block": Case(
        [
            ms("QLinearConcat", "ys yz x xs xz x xs xz", "j", axis=1),
            node("QLinearConv", "j ys yz w ws wz xs xz", "c", kernel_shape=[1, 1]),
            ms("QLinearConcat", "ys yz j ys yz c xs xz", "k", axis=1),
            ms("QLinearGlobalAveragePool", "k ys yz xs xz"),
        ],
        {"x": IMAGE},
        {"w": integers(I8, 3, 6, 1, 1, most=64), "ws": scale(0.021), "wz": zero(I8, 0)}
        | triples(U8, x=(0.0513, 9), y=(0.0827, 3)),
        {"y": U8},
    ),
    # tract 2849: scales for each column, and a rank-2 tensor
    "by_column": Case(
        dequantized("x", axis=1), {"x": integers(I8, 6, 3)},
        {"xs": scale([0.5, 2, 10]), "xz": zero(I8, [0, 1, -1])}, {"xf": F32},
    ),
    # onnxruntime 4032: a scale computed by the graph, from the largest element
    "own_scale": Case(
        [
            node("Sub", "none x", "n"),
            node("Max", "x n", "abs"),
            node("ReduceMax", "abs", "most", keepdims=0),
            node("Div", "most last", "s"),
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q one", "qf"),
            node("MatMul", "qf w", "m"),
            node("Mul", "m s"),
        ],
        {"x": floats(3, 8)},
        {"none": scale(0), "last": scale(127), "z": zero(I8, 0), "one": scale(1), "w": floats(8, 4)},
    ),
    # onnxruntime 13361: Pad in QOperator form, with the zero point as its value
    "padded": Case(
        [
            node("Pad", "x pads xz", "p"),
            node("QLinearConv", "p xs xz w ws wz ys yz"),
        ],
        {"x": IMAGE},
        {
            "pads": np.array([0, 0, 1, 2, 0, 0, 2, 1]), "w": integers(I8, 2, 3, 3, 3, most=64), "ws": scale(0.02),
            "wz": zero(I8, 0),
        } | triples(U8, x=(0.0513, 9), y=(0.1827, 3)),
        {"y": U8},
    ),
    # onnxruntime 17015: 16-bit activations, 8-bit weights, between regions of 8 bits
    "mixed_precision": Case(
        [
            ms("QuantizeLinear", "x xs xz", "xq"), ms("DequantizeLinear", "xq xs xz", "xf"),
            *dequantized("w", axis=0), node("Conv", "xf wf", "c"), node("Relu", "c", "r"), *between("r", "v"),
        ],
        {"x": floats(1, 3, 6, 6)},
        {
            "w": integers(I8, 4, 3, 3, 3), "ws": scale([0.01, 0.02, 0.001, 0.03]), "wz": zero(I8, [0] * 4),
        } | triples(np.uint16, x=(0.0001, 77)) | triples(U8, v=(0.0613, -128)),
        {"v": F32},
    ),
    # coremltools 2853: pruned channels of a depthwise convolution, their scales zero
    "pruned": Case(
        [
            *between("x", "u"), *dequantized("w", axis=0),
            node("Conv", "u wf", "c", group=3, pads=[1, 1, 1, 1]),
            node("BatchNormalization", "c gamma beta mean var", "n"), node("Relu", "n", "r"), *between("r", "v"),
            *dequantized("t", axis=0), node("Conv", "v tf", "e"), *between("e", "y"),
        ],
        {"x": floats(1, 3, 6, 6)},
        {
            "w": integers(I8, 3, 1, 3, 3), "ws": scale([0.01, 0, 0.002]), "wz": zero(I8, [0] * 3),
            "gamma": floats(3), "beta": floats(3, seed=1), "mean": floats(3, seed=2), "var": np.abs(floats(3)),
            "t": integers(I8, 8, 3, 1, 1, most=1), "ts": scale([0.5, 0, 0.3, 0, 0.1, -0.2, 0.7, 0]),
            "tz": zero(I8, [0] * 8),
        } | triples(U8, u=(0.0171, 3), v=(0.0213, -128)) | triples(I8, y=(0.2371, 3)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTED)
def test_import_is_onnxruntimes(name: str) -> None:
    case = REPORTED[name]
    model = case.model()
    want = onnxruntime(model, case.feeds)
    compare(interpreter.run(tercet.import_model(model), case.feeds), want)
    assert all(len(np.unique(y)) > 3 for y in want.values())


@pytest.mark.check
def test_compiled_is_onnxruntimes(tmp_path: Path) -> None:
    model, feeds = bundle(REPORTED)
    check_compiled(model, feeds, onnxruntime(model, feeds), tmp_path)
