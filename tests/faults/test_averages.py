"""Averages of integers between quantizers: the exact mean, rounded once, ties to even. float32 rounds ties by accident.

The right value is computed with rational numbers from the model's own scales and windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.backends.reference import interpreter
from tercet.ir.tn.pool import AvgPoolOp, ReduceMeanOp, ReduceSumOp, SumPoolOp

from .faults import DATA, check_compiled, compare, expected

QONNX = "qonnx.custom_op.general"


def model_of(nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray], shape: Sequence[int], out: int) -> Any:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", out, None)
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "averages", [x], [y], weights)
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid(QONNX, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def qdq(average: Sequence[onnx.NodeProto], s: float, t: float, zero: tuple[int, int], shape: Sequence[int]) -> Any:
    """x -> uint8 in steps of s -> nodes from `m` to `a` -> uint8 in steps of t."""
    constants = {
        "s": np.float32(s), "t": np.float32(t), "zs": np.uint8(zero[0]), "zt": np.uint8(zero[1])
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "zs"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zs"], ["m"]),
        *average,
        helper.make_node("QuantizeLinear", ["a", "t", "zt"], ["y"]),
    ]
    return model_of(nodes, {k: np.asarray(v) for k, v in constants.items()}, shape, TensorProto.UINT8)


def half_even(value: Fraction) -> int:
    return round(value)


def exact_pool(
    q: np.ndarray, ratio: Fraction, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int], include: bool
) -> np.ndarray:
    """round(mean * ratio) of integers q [N, C, H, W], before zero point and saturation."""
    n, c, *size = q.shape
    out = [(d + pads[i] + pads[i + 2] - kernel[i]) // strides[i] + 1 for i, d in enumerate(size)]
    y = np.zeros((n, c, *out), np.int64)
    for at in product(*map(range, y.shape)):
        rows = [at[2 + i] * strides[i] - pads[i] + np.arange(kernel[i]) for i in range(2)]
        inside = [r[(r >= 0) & (r < d)] for r, d in zip(rows, size, strict=True)]
        total = int(q[at[0], at[1]][np.ix_(*inside)].sum())
        count = kernel[0] * kernel[1] if include else inside[0].size * inside[1].size
        y[at] = half_even(Fraction(total, max(count, 1)) * ratio)
    return y


def quantized(x: np.ndarray, s: float, zero: int) -> np.ndarray:
    """uint8 of QuantizeLinear, minus the zero point."""
    return np.clip(np.rint(x / np.float32(s)) + zero, 0, 255).astype(np.int64) - zero


def check(
    model: onnx.ModelProto, x: np.ndarray, right: np.ndarray, folder: Path, given: str = "x", result: str = "y"
) -> None:
    program = tercet.import_model(model)
    kinds = {type(op) for op in program.ops}
    assert kinds & {SumPoolOp, ReduceSumOp} and not kinds & {AvgPoolOp, ReduceMeanOp}, "the rule fired"
    compare(interpreter.run(program, {given: x}), {result: right})
    check_compiled(model, {given: x}, {result: right}, folder)


POOLS = {
    "2x2": ((2, 2), (2, 2), (0, 0, 0, 0), False),
    "3x3 padded": ((3, 3), (1, 1), (1, 1, 1, 1), False),
    "3x3 padded, the padding counts": ((3, 3), (1, 1), (1, 1, 1, 1), True),
    "4x2, uneven pads": ((4, 2), (2, 1), (2, 0, 1, 1), False),
    "one pixel": ((1, 1), (1, 1), (0, 0, 0, 0), False),
}
SCALES = {"one scale": (0.1, 0.1), "twice": (0.05, 0.1), "odd": (0.0371, 0.0123), "tiny": (1e-3, 7e-3)}


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("pool", POOLS)
def test_average_pool(pool: str, scales: str, tmp_path: Path) -> None:
    (kernel, strides, pads, include), (s, t) = POOLS[pool], SCALES[scales]
    node = helper.make_node(
        "AveragePool", ["m"], ["a"], kernel_shape=kernel, strides=strides, pads=pads, count_include_pad=int(include)
    )
    x = np.random.default_rng(3).integers(-120, 140, (2, 3, 9, 8)).astype(np.float32) * np.float32(s)
    q = quantized(x, s, 120)
    ratio = Fraction(float(np.float32(s))) / Fraction(float(np.float32(t)))
    right = np.clip(exact_pool(q, ratio, kernel, strides, pads, include) + 7, 0, 255).astype(np.uint8)
    model = qdq([node], s, t, (120, 7), x.shape)
    compare(interpreter.run(tercet.import_model(model), {"x": x}), {"y": right})
    if scales == "odd":
        check(model, x, right, tmp_path)


GLOBAL = helper.make_node("GlobalAveragePool", ["m"], ["a"])
MEANS = {
    "global": [GLOBAL],
    "mean": [helper.make_node("ReduceMean", ["m"], ["a"], axes=[2, 3], keepdims=1)],
    "relu after": [helper.make_node("GlobalAveragePool", ["m"], ["g"]), helper.make_node("Relu", ["g"], ["a"])],
    "max pool before": [
        helper.make_node("MaxPool", ["m"], ["p"], kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["p"], ["a"]),
    ],
}


@pytest.mark.parametrize("name", MEANS)
def test_mean(name: str, tmp_path: Path) -> None:
    nodes = MEANS[name]
    model = qdq(nodes, 0.1, 0.1, (128, 100), (4, 5, 4, 4))
    for node in model.graph.node:  # axes are an input from opset 18 on
        if node.op_type == "ReduceMean":
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("keepdims", 1))
            node.input.append("axes")
            model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
    x = np.random.default_rng(4).integers(-128, 128, (4, 5, 4, 4)).astype(np.float32) * np.float32(0.1)
    mean = exact_pool(quantized(x, 0.1, 128), Fraction(1), (4, 4), (1, 1), (0, 0, 0, 0), False)
    mean = np.maximum(mean, 0) if any(n.op_type == "Relu" for n in nodes) else mean
    check(model, x, np.clip(mean + 100, 0, 255).astype(np.uint8), tmp_path)


def test_flattened_mean(tmp_path: Path) -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["m"], ["g"]), helper.make_node("Flatten", ["g"], ["a"])]
    x = np.random.default_rng(5).integers(-128, 128, (2, 6, 2, 2)).astype(np.float32) * np.float32(0.25)
    mean = exact_pool(quantized(x, 0.25, 128), Fraction(1, 2), (2, 2), (1, 1), (0, 0, 0, 0), False)
    right = np.clip(mean + 128, 0, 255).astype(np.uint8).reshape(2, 6)
    check(qdq(nodes, 0.25, 0.5, (128, 128), x.shape), x, right, tmp_path)


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
def test_qonnx_quantizers_round_as_they_say(mode: str, tmp_path: Path) -> None:
    constants = {"s": np.float32(0.3), "zero": np.float32(0), "bits": np.float32(4)}
    nodes = [
        helper.make_node("Quant", ["x", "s", "zero", "bits"], ["m"], domain=QONNX, signed=1, narrow=0),
        helper.make_node("AveragePool", ["m"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Quant", ["a", "s", "zero", "bits"], ["y"], domain=QONNX, signed=1, rounding_mode=mode),
    ]
    model = model_of(nodes, {k: np.asarray(v) for k, v in constants.items()}, (1, 2, 8, 8), TensorProto.FLOAT)
    q = np.random.default_rng(6).integers(-8, 8, (1, 2, 8, 8))
    four = q.reshape(1, 2, 4, 2, 4, 2).sum(axis=(3, 5))  # the sum of each window: a mean is a quarter
    floor, rest, sign = four // 4, four % 4, np.sign(four)
    up = {
        "ROUND": (rest > 2) | ((rest == 2) & (floor % 2 == 1)),
        "FLOOR": np.zeros_like(rest),
        "CEIL": rest > 0,
        "UP": (rest > 0) & (sign > 0),
        "DOWN": (rest > 0) & (sign < 0),
        "HALF_UP": (rest > 2) | ((rest == 2) & (sign > 0)),
        "HALF_DOWN": (rest > 2) | ((rest == 2) & (sign < 0)),
    }[mode]
    right = ((floor + up) * np.float32(0.3)).astype(np.float32)
    check(model, q.astype(np.float32) * np.float32(0.3), right, tmp_path)


def test_thresholds_of_an_average(tmp_path: Path) -> None:
    """MultiThreshold after AveragePool compares the exact mean with the float32 threshold."""
    table = np.array([[-0.25, 0.0, 0.25, 0.5], [-0.1, 0.05, 0.1, 0.3]], np.float32)
    constants = {"s": np.float32(0.1), "zero": np.float32(0), "bits": np.float32(3), "t": table}
    nodes = [
        helper.make_node("Quant", ["x", "s", "zero", "bits"], ["m"], domain=QONNX, signed=1, narrow=0),
        helper.make_node("AveragePool", ["m"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MultiThreshold", ["a", "t"], ["y"], domain=QONNX, out_bias=-2.0),
    ]
    model = model_of(nodes, {k: np.asarray(v) for k, v in constants.items()}, (1, 2, 16, 16), TensorProto.FLOAT)
    q = np.random.default_rng(7).integers(-4, 4, (1, 2, 16, 16))
    four, s = q.reshape(1, 2, 8, 2, 8, 2).sum(axis=(3, 5)), Fraction(float(np.float32(0.1)))
    right = np.zeros(four.shape, np.float32)
    for at in product(*map(range, four.shape)):
        mean = Fraction(int(four[at]), 4) * s
        right[at] = sum(mean >= Fraction(float(t)) for t in table[at[1]]) - 2
    check(model, q.astype(np.float32) * np.float32(0.1), right, tmp_path)


@pytest.mark.parametrize("name", ["avgpool_tie_2x2", "avgpool_tie_8x8", "mean_tie"])
def test_faults(name: str, tmp_path: Path) -> None:
    """Their quantizers have one scale, so the mean of the integers is what counts; the .npz has float32's ties."""
    model = onnx.load(str(DATA / f"{name}.onnx"))
    (x,), scale = expected(name)[0].values(), np.float32(0.0123)
    q = np.clip(np.rint(x / scale), -128, 127).astype(np.int64)
    attributes = [a for node in model.graph.node for a in node.attribute if a.name == "kernel_shape"]
    window = list(attributes[0].ints) if attributes else q.shape[2:]
    mean = exact_pool(q, Fraction(1), window, window, (0, 0, 0, 0), False)
    (given,), (port,) = expected(name)[0], model.graph.output
    check(model, x, mean.astype(np.float32) * scale, tmp_path, given, port.name)
