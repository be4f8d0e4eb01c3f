"""Pooling and reductions against onnxruntime and naive loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from xdsl.utils.exceptions import VerifyException

from tercet.ir.errors import IRError
from tercet.ir.tn.pool import (
    ArgMaxOp,
    AvgPoolOp,
    MaxPoolOp,
    ReduceMaxOp,
    ReduceMeanOp,
    ReduceMinOp,
    ReduceSumOp,
    SumPoolOp,
    TopKOp,
)
from tercet.ir.types import INT64_MIN

from .one_op import close, compute, compute_one, equal, examples, floats, full_shapes, integers, onnx_node, seeds


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, list[int]]]:
    """An input shape [N, C, *S] and window attributes, none of whose windows lies wholly in padding."""
    rank, small = draw(st.integers(1, 2)), st.integers(1, 3)
    kernel, strides, dilations = ([draw(small) for _ in range(rank)] for _ in range(3))
    pads = [draw(st.integers(0, kernel[i % rank] - 1)) for i in range(2 * rank)]
    size = []
    for i in range(rank):
        least = max((kernel[i] - 1) * dilations[i] + 1 - pads[i] - pads[i + rank], 1)
        size.append(draw(st.integers(least, least + 5)))
        last = size[i] + pads[i + rank] - (kernel[i] - 1) * dilations[i]  # after the last window's first element
        taps = range(0, kernel[i] * dilations[i], dilations[i])
        assume(all(any(0 <= at + t < size[i] for t in taps) for at in range(-pads[i], last, strides[i])))
    shape = (draw(st.integers(0, 2)), draw(small), *size)
    return shape, {"kernel": kernel, "strides": strides, "dilations": dilations, "pads": pads}


def onnx_window(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"kernel_shape" if name == "kernel" else name: value for name, value in attributes.items()}


@given(windows(), seeds)
@examples(3)
def test_max_pool_is_onnxruntimes(window: tuple[tuple[int, ...], dict[str, Any]], seed: int) -> None:
    shape, attributes = window
    x = floats(seed, shape) - np.float32(5)
    (want,) = onnx_node("MaxPool", x, **onnx_window(attributes))
    assume(np.isfinite(want).all() and (want > -100).all())
    close(compute_one(MaxPoolOp, x, **attributes), want, rtol=0, atol=0)
    q = integers(seed, shape, -128, -1)
    (want,) = onnx_node("MaxPool", q.astype(np.float32), **onnx_window(attributes))
    equal(compute_one(MaxPoolOp, q, **attributes), want.astype(np.int64))


def test_max_pool_of_the_smallest_integer() -> None:
    x = np.full((1, 1, 2), INT64_MIN)
    equal(compute_one(MaxPoolOp, x, kernel=(2,), strides=(1,), pads=(1, 1), dilations=(1,)), [[[INT64_MIN] * 3]])


def test_max_pool_refuses_a_window_in_padding() -> None:
    with pytest.raises(IRError, match="wholly in padding"):
        compute(MaxPoolOp, floats(1, (1, 1, 3)), kernel=(1,), strides=(1,), pads=(1, 0), dilations=(1,))


@given(windows(), seeds, st.booleans())
@examples(3)
def test_avg_pool_is_onnxruntimes(window: tuple[tuple[int, ...], dict[str, Any]], seed: int, include: bool) -> None:
    shape, attributes = window
    x = floats(seed, shape)
    (want,) = onnx_node("AveragePool", x, **onnx_window(attributes), count_include_pad=int(include))
    counted = attributes["pads"] if include else [0] * len(attributes["pads"])
    close(compute_one(AvgPoolOp, x, **attributes, counted=counted), want, atol=1e-5)


@given(windows(), seeds, st.lists(st.integers(0, 2), min_size=4, max_size=4))
@examples(3)
def test_avg_pool_divides_by_the_counted_elements(
    window: tuple[tuple[int, ...], dict[str, Any]], seed: int, margins: list[int]
) -> None:
    shape, attributes = window
    pads, rank = attributes["pads"], len(shape) - 2
    counted = [min(m, p) for m, p in zip(margins, pads, strict=False)]
    x = floats(seed, shape)
    have = compute_one(AvgPoolOp, x, **attributes, counted=counted)
    want = np.zeros(have.shape)
    for at in np.ndindex(have.shape):
        total, count = 0.0, 0
        for tap in np.ndindex(*attributes["kernel"]):
            pixel = [
                at[2 + i] * attributes["strides"][i] + tap[i] * attributes["dilations"][i] - pads[i]
                for i in range(rank)
            ]
            if all(0 <= p < d for p, d in zip(pixel, shape[2:], strict=True)):
                total += float(x[(*at[:2], *pixel)])
            count += all(
                -counted[i] <= p < d + counted[i + rank] for i, (p, d) in enumerate(zip(pixel, shape[2:], strict=True))
            )
        want[at] = total / max(count, 1)
    close(have, want.astype(np.float32), atol=1e-5)


def test_avg_pool_does_not_divide_by_a_ceil_mode_overhang() -> None:
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 5)
    (want,) = onnx_node("AveragePool", x, kernel_shape=[2], strides=[2], ceil_mode=1, count_include_pad=1)
    have = compute_one(AvgPoolOp, x, kernel=(2,), strides=(2,), dilations=(1,), pads=(0, 1), counted=(0, 0))
    close(have, want)


@given(full_shapes, seeds, st.booleans(), st.data())
@examples(5)
def test_reduce_mean_is_onnxruntimes(shape: tuple[int, ...], seed: int, keep: bool, data: st.DataObject) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1))))
    x = floats(seed, shape)
    (want,) = onnx_node("ReduceMean", x, np.array(axes, np.int64), keepdims=int(keep), noop_with_empty_axes=1)
    close(compute_one(ReduceMeanOp, x, axes=axes, keepdims=int(keep)), want)


@pytest.mark.parametrize(("op_type", "kind"), [("ReduceMax", ReduceMaxOp), ("ReduceMin", ReduceMinOp)])
@given(full_shapes, seeds, st.booleans(), st.booleans(), st.data())
@examples(3)
def test_extremes_are_onnxruntimes(
    op_type: str, kind: type, shape: tuple[int, ...], seed: int, keep: bool, whole: bool, data: st.DataObject
) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1))))
    x = integers(seed, shape, -9, 9) if whole else floats(seed, shape)
    assume(not whole or all(shape[axis] for axis in axes))
    (want,) = onnx_node(op_type, x, np.array(axes, np.int64), keepdims=int(keep), noop_with_empty_axes=1)
    (equal if whole else close)(compute_one(kind, x, axes=axes, keepdims=int(keep)), want)


def test_extremes_of_no_integers_are_refused() -> None:
    with pytest.raises(VerifyException, match="axes with elements"):
        compute(ReduceMaxOp, integers(1, (2, 0), 0, 9), axes=(1,), keepdims=1)


@given(full_shapes, seeds, st.booleans(), st.booleans(), st.booleans(), st.data())
@examples(3)
def test_arg_max_is_onnxruntimes(
    shape: tuple[int, ...], seed: int, largest: bool, last: bool, whole: bool, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    # Few different values, so that ties are common.
    x = integers(seed, shape, -2, 2)
    x = x if whole else x.astype(np.float32)
    kind = "ArgMax" if largest else "ArgMin"
    (want,) = onnx_node(kind, x.astype(np.int32) if whole else x, axis=axis, select_last_index=int(last))
    equal(compute_one(ArgMaxOp, x, axis=axis, largest=int(largest), last=int(last)), want)


@given(full_shapes, seeds, st.booleans(), st.booleans(), st.data())
@examples(3)
def test_top_k_is_onnxruntimes(
    shape: tuple[int, ...], seed: int, largest: bool, whole: bool, data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    k = data.draw(st.integers(0, shape[axis]))
    x = integers(seed, shape, -2, 2)
    x = x if whole else x.astype(np.float32)
    values, indices = compute(TopKOp, x, axis=axis, k=k, largest=int(largest))
    if k:
        want = onnx_node("TopK", x, np.array([k]), outputs=2, axis=axis, largest=int(largest), sorted=1)
        np.testing.assert_array_equal(values, want[0])
        equal(indices, want[1])


def test_reductions_at_the_smallest_integer() -> None:
    x = np.array([[INT64_MIN, 3, INT64_MIN, 2**63 - 1]])
    equal(compute_one(ArgMaxOp, x, axis=1, largest=0, last=1), [[2]])
    values, indices = compute(TopKOp, x, axis=1, k=4)
    equal(values, [[2**63 - 1, 3, INT64_MIN, INT64_MIN]])
    equal(indices, [[3, 1, 0, 2]])


@given(windows(), seeds)
@examples(3)
def test_sum_pool_is_the_average_times_the_window(window: tuple[tuple[int, ...], dict[str, Any]], seed: int) -> None:
    shape, attributes = window
    q = integers(seed, shape, -128, 127)
    whole = attributes["pads"]
    mean = compute_one(AvgPoolOp, q.astype(np.float32), counted=whole, **attributes)
    area = np.prod(attributes["kernel"])
    equal(compute_one(SumPoolOp, q, **attributes), np.rint(mean * area).astype(np.int64))


@given(full_shapes, seeds, st.integers(0, 1))
@examples(3)
def test_reduce_sum(shape: tuple[int, ...], seed: int, keepdims: int) -> None:
    """Of integers exactly, of floats in twice the precision."""
    q = integers(seed, shape, -(2**31), 2**31)
    axes = [i for i in range(len(shape)) if (seed >> i) & 1]
    equal(compute_one(ReduceSumOp, q, axes=axes, keepdims=keepdims), q.sum(axis=tuple(axes), keepdims=bool(keepdims)))
    x = floats(seed, shape)
    want = x.sum(axis=tuple(axes), keepdims=bool(keepdims), dtype=np.float64).astype(np.float32)
    close(compute_one(ReduceSumOp, x, axes=axes, keepdims=keepdims), np.asarray(want), rtol=0, atol=0)
