"""Convolution, matrix product and batch norm against onnxruntime and against exact Python integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercet.ir.tn.linear import BatchNormOp, ConvOp, MatMulOp

from .one_op import close, compute_one, equal, examples, floats, integers, onnx_node, seeds


@st.composite
def conv_cases(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and attributes of any small valid convolution, 1-D or 2-D."""
    rank, small = draw(st.integers(1, 2)), st.integers(1, 3)
    group, kernel = draw(small), [draw(small) for _ in range(rank)]
    dilations, strides = [draw(small) for _ in range(rank)], [draw(small) for _ in range(rank)]
    pads = [draw(st.integers(0, 3)) for _ in range(2 * rank)]
    size = []
    for i in range(rank):
        least = (kernel[i] - 1) * dilations[i] + 1 - pads[i] - pads[i + rank]
        size.append(draw(st.integers(max(least, 1), max(least, 1) + 5)))
    inputs, outputs = group * draw(small), group * draw(small)
    return {
        "x": (draw(st.integers(0, 2)), inputs, *size),
        "w": (outputs, inputs // group, *kernel),
        "bias": draw(st.booleans()),
        "seed": draw(seeds),
        "attributes": {"group": group, "dilations": dilations, "strides": strides, "pads": pads},
    }


def naive_conv(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, attributes: dict[str, Any]) -> np.ndarray:
    """Convolution straight from its definition, with Python integers."""
    rank, group = x.ndim - 2, attributes["group"]
    pads, strides, dilations = (attributes[n] for n in ("pads", "strides", "dilations"))
    sizes = [
        (x.shape[2 + i] + pads[i] + pads[i + rank] - dilations[i] * (w.shape[2 + i] - 1) - 1) // strides[i] + 1
        for i in range(rank)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *sizes), object)
    for n, o, *at in np.ndindex(*y.shape):
        total = 0 if bias is None else int(bias[o])
        for c, *tap in np.ndindex(*w.shape[1:]):
            pixel = [at[i] * strides[i] + tap[i] * dilations[i] - pads[i] for i in range(rank)]
            if all(0 <= p < d for p, d in zip(pixel, x.shape[2:], strict=True)):
                channel = o // (w.shape[0] // group) * w.shape[1] + c
                total += int(x[(n, channel, *pixel)]) * int(w[(o, c, *tap)])
        y[(n, o, *at)] = total
    return y


@given(conv_cases())
@examples(3)
def test_float_conv_is_onnxruntimes(case: dict[str, Any]) -> None:
    operands = [floats(case["seed"], case["x"]), floats(case["seed"] + 1, case["w"])]
    if case["bias"]:
        operands.append(floats(case["seed"] + 2, case["w"][:1]))
    (want,) = onnx_node("Conv", *operands, **case["attributes"])
    close(compute_one(ConvOp, *operands, **case["attributes"]), want, atol=1e-5)


@given(conv_cases(), st.sampled_from([1, 127, 2**24, 2**29]))
@examples(5)
def test_integer_conv_is_exact(case: dict[str, Any], largest: int) -> None:
    x, w = (integers(case["seed"] + i, case[n], -largest, largest) for i, n in enumerate("xw"))
    bias = integers(case["seed"] + 2, case["w"][:1], -(2**40), 2**40) if case["bias"] else None
    have = compute_one(ConvOp, *([x, w] if bias is None else [x, w, bias]), **case["attributes"])
    equal(have, naive_conv(x, w, bias, case["attributes"]).astype(np.int64))


@pytest.mark.parametrize("largest", [2**12, 2**12 + 1, 2**26, 2**26 + 1, 2**31 - 1])
def test_integer_product_at_the_edge_of_each_float_type(largest: int) -> None:
    """One odd unit at the end of the sum is lost as soon as a float rounds."""
    a = np.full((1, 2), largest)
    b = np.array([[largest], [1]])
    equal(compute_one(MatMulOp, a, b), [[largest * largest + largest]])


@given(seeds, st.integers(0, 2), st.integers(0, 4), st.integers(0, 5), st.integers(0, 4), st.sampled_from([1, 2**31]))
@examples(3)
def test_integer_matmul_is_exact(seed: int, lead: int, m: int, k: int, n: int, largest: int) -> None:
    a, b = integers(seed, (lead, m, k), -largest, largest), integers(seed + 1, (k, n), -largest, largest - 1)
    # On Python integers, by definition (numpy has no object matmul with empty inner axes).
    want = (a.astype(object)[..., None] * b.astype(object)).sum(axis=-2) if k else np.zeros((lead, m, n))
    if k * largest * largest < 2**63:
        equal(compute_one(MatMulOp, a, b), want.astype(np.int64))


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 2)), ((4, 2, 3), (3,))],
)
def test_float_matmul_is_onnxruntimes(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    operands = floats(1, a), floats(2, b)
    close(compute_one(MatMulOp, *operands), onnx_node("MatMul", *operands)[0])


@given(seeds, st.integers(1, 4), st.lists(st.integers(1, 4), max_size=3), st.sampled_from([1e-5, 1e-3, 0.5]))
@examples(6)
def test_batch_norm_is_onnxruntimes(seed: int, channels: int, rest: list[int], epsilon: float) -> None:
    x = floats(seed, (2, channels, *rest))
    scale, bias, mean = (floats(seed + i, (channels,)) for i in (1, 2, 3))
    var = np.abs(floats(seed + 4, (channels,)))
    (want,) = onnx_node("BatchNormalization", x, scale, bias, mean, var, epsilon=epsilon)
    close(compute_one(BatchNormOp, x, scale, bias, mean, var, epsilon=epsilon), want, rtol=1e-4, atol=1e-4)
