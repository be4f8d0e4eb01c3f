"""Strides that move up: generated maps and readers, what keeps them where they are, and the form that comes out."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from random_networks import _Builder as Builder
from xdsl.ir import SSAValue

from tercet.backends.reference.interpreter import run
from tercet.ir.tn.elementwise import AddOp, MulOp, PReluOp, ReluOp, SigmoidOp
from tercet.ir.tn.linear import BatchNormOp, ConvOp
from tercet.ir.tn.movement import SliceOp
from tercet.ir.tn.pool import AvgPoolOp, MaxPoolOp, PoolOp, ReduceMeanOp, SumPoolOp
from tercet.ir.tn.quant import DequantizeOp, QuantizeOp, ThresholdOp
from tercet.ir.types import shape_of
from tercet.passes.hoist_strides import HoistStrides

FLOAT = np.dtype(np.float32)
Draw: TypeAlias = "Callable[[st.SearchStrategy[Any]], Any]"
Make: TypeAlias = "Callable[[Builder, SSAValue], SSAValue]"
MAPPED = (
    "relu", "by channel", "by pixel", "slopes by row", "batch norm", "quantized", "threshold", "sign", "gate",
    "shortcut", "block",
)  # fmt: skip
READERS = ("conv", "depthwise", "max pool", "average", "sum", "slice")


def conv(b: Builder, x: SSAValue, outputs: int, kernel: tuple[int, int], **attributes: Any) -> SSAValue:
    w = b.constant("w", b.rng.integers(-2, 3, (outputs, shape_of(x)[1], *kernel)).astype(np.float32))
    known: dict[str, Any] = {"strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1), "group": 1}
    return b.add(ConvOp, x, w, **{**known, **attributes})


def floats(b: Builder, *shape: int) -> SSAValue:
    return b.constant("c", b.rng.normal(size=shape).astype(np.float32))


def window(b: Builder, draw: Draw, x: SSAValue, outputs: int) -> SSAValue:
    """Something that makes a map: a convolution or pool of any shape that fits."""
    size = shape_of(x)[2:]
    kernel = (draw(st.integers(1, min(3, size[0]))), draw(st.integers(1, min(3, size[1]))))
    pads = tuple(draw(st.integers(0, k - 1)) for k in kernel * 2)
    strides = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    if draw(st.booleans()):
        return conv(b, x, outputs, kernel, pads=pads, strides=strides)
    attributes: dict[str, Any] = {"kernel": kernel, "strides": strides, "dilations": (1, 1)}
    x = conv(b, x, outputs, (1, 1))
    if draw(st.booleans()):
        return b.add(AvgPoolOp, x, pads=pads, counted=(0,) * 4, **attributes)
    return b.add(MaxPoolOp, x, pads=pads, **attributes)


def mapped(b: Builder, kind: str, y: SSAValue, x: SSAValue) -> SSAValue:
    """A map of y's shape, computed pixel by pixel. x: the program's input."""
    _, channels, height, width = shape_of(y)
    match kind:
        case "by channel":
            return b.add(MulOp, floats(b, channels, 1, 1), y)
        case "by pixel":
            return b.add(AddOp, y, floats(b, height, width))
        case "slopes by row":
            return b.add(PReluOp, y, floats(b, channels, height, 1))
        case "batch norm":
            positive = b.constant("var", b.rng.random(channels).astype(np.float32) + 0.5)
            return b.add(BatchNormOp, y, *(floats(b, channels) for _ in range(3)), positive, epsilon=0.01)
        case "quantized":
            return b.add(DequantizeOp, b.add(QuantizeOp, y, b.scalar(0.5), lo=-2, hi=2), b.scalar(0.5))
        case "threshold":
            table = b.constant("t", np.sort(b.rng.normal(size=(channels, 3)).astype(np.float32)))
            integers = b.add(ThresholdOp, y, table, axis=1, base=-1, step=1)
            return b.add(DequantizeOp, integers, b.scalar(0.25))
        case "sign":
            integers = b.add(ThresholdOp, y, b.constant("t", np.zeros((1, 1), np.float32)), axis=-1, base=-1, step=2)
            return b.add(DequantizeOp, integers, b.scalar(1.0))
        case "block":  # its first convolution reads the whole map
            inner = conv(b, y, 2, (2, 3), pads=(1, 1, 0, 1))
            return b.add(AddOp, conv(b, b.add(ReluOp, inner), channels, (1, 1)), y)
        case "gate":
            mean = b.add(ReduceMeanOp, x, axes=(2, 3), keepdims=1)
            return b.add(MulOp, y, b.add(SigmoidOp, conv(b, mean, channels, (1, 1))))
        case "shortcut":
            return b.add(AddOp, y, b.add(SigmoidOp, b.add(MulOp, y, b.scalar(0.5))))
    return b.add(ReluOp, y)


def reader(b: Builder, kind: str, y: SSAValue, strides: tuple[int, int]) -> SSAValue:
    """Something that reads every strides-th pixel, and adds a small convolution of what it read."""
    _, channels, height, width = shape_of(y)
    attributes: dict[str, Any] = {"kernel": (1, 1), "strides": strides, "pads": (0,) * 4, "dilations": (1, 1)}
    match kind:
        case "max pool":
            y = b.add(MaxPoolOp, y, **attributes)
        case "average":
            y = b.add(AvgPoolOp, y, counted=(0,) * 4, **attributes)
        case "sum":
            integers = b.add(QuantizeOp, y, b.scalar(1.0), lo=-8, hi=7)
            y = b.add(DequantizeOp, b.add(SumPoolOp, integers, **attributes), b.scalar(1.0))
        case "slice":
            sizes = (1, channels, *(-(-d // s) for d, s in zip((height, width), strides, strict=True)))
            y = b.add(SliceOp, y, starts=(0,) * 4, sizes=sizes, steps=(1, 1, *strides))
        case "depthwise":
            w = floats(b, channels, 1, 1, 1)
            return b.add(ConvOp, y, w, strides=strides, pads=(0,) * 4, dilations=(1, 1), group=channels)
        case "conv":
            return conv(b, y, 2, (1, 1), strides=strides)
    return conv(b, y, 2, (1, 1))


@given(st.data(), st.integers(0, 2**32 - 1))
def test_any_map_and_any_readers(data: st.DataObject, seed: int) -> None:
    draw = data.draw
    size = (draw(st.integers(2, 9)), draw(st.integers(2, 9)))
    b = Builder(draw(st.integers(1, 3)), size, np.random.default_rng(seed))
    x = b.program.block.args[0]
    channels, strides = draw(st.integers(1, 3)), (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    y = window(b, draw, conv(b, x, 2, (2, 2), pads=(0, 0, 1, 1)), channels)
    for kind in draw(st.lists(st.sampled_from(MAPPED), max_size=4)):
        y = mapped(b, kind, y, x)
    assume(any(stride > 1 < size for stride, size in zip(strides, shape_of(y)[2:], strict=True)))
    kinds = draw(st.lists(st.sampled_from(READERS), min_size=1, max_size=3))
    read = [reader(b, kind, y, strides) for kind in kinds]
    b.program.finish([(f"y{i}", value, FLOAT) for i, value in enumerate(read)])
    # sums of eighths are exact in any order, so that quantizers see the same; readers' sums may be others'
    feeds = {"x": np.round(b.rng.normal(size=shape_of(x)) * 8).astype(np.float32) / 8}
    want, work = run(b.program, feeds), pixels(b)

    assert HoistStrides().apply(b.program)
    b.program.verify()
    assert pixels(b) < work
    have = run(b.program, feeds)
    for name, array in want.items():
        np.testing.assert_allclose(have[name], array, rtol=1e-5, atol=1e-5)


def pixels(b: Builder) -> int:
    return sum(prod(shape_of(y)) for op in b.program.ops for y in op.results)


def read_by_another(b: Builder, y: SSAValue) -> SSAValue:
    return conv(b, y, 2, (2, 2), strides=(2, 2))


def read_with_other_strides(b: Builder, y: SSAValue) -> SSAValue:
    return conv(b, y, 2, (1, 1), strides=(3, 2))


def returned(b: Builder, y: SSAValue) -> SSAValue:
    return y


def weights_of_another(b: Builder, y: SSAValue) -> SSAValue:
    return b.add(ConvOp, b.program.block.args[0], y, strides=(2, 2), pads=(2,) * 4, dilations=(1, 1), group=1)


@pytest.mark.parametrize("other", [read_by_another, read_with_other_strides, returned, weights_of_another])
def test_somebody_else_reads_all_pixels(other: Make) -> None:
    b = Builder(2, (6, 6), np.random.default_rng(0))
    y = b.add(ReluOp, conv(b, b.program.block.args[0], 2, (1, 1)))
    read = [conv(b, y, 2, (1, 1), strides=(2, 2)), other(b, y)]
    b.program.finish([(f"y{i}", value, FLOAT) for i, value in enumerate(read)])
    assert not HoistStrides().apply(b.program)


def of_the_input(b: Builder, x: SSAValue) -> SSAValue:
    return b.add(ReluOp, x)


def over_rows(b: Builder, x: SSAValue) -> SSAValue:
    table = b.constant("t", np.sort(b.rng.normal(size=(6, 2)).astype(np.float32)))
    return b.add(DequantizeOp, b.add(ThresholdOp, conv(b, x, 2, (1, 1)), table, axis=2, base=0, step=1), b.scalar(1.0))


def partly_broadcast(b: Builder, x: SSAValue) -> SSAValue:
    return b.add(AddOp, conv(b, x, 2, (1, 1)), conv(b, x, 2, (1, 6)))


def shifted(b: Builder, x: SSAValue) -> SSAValue:
    y = conv(b, x, 2, (1, 1), pads=(1, 0, 0, 0))
    return b.add(SliceOp, y, starts=(0, 0, 1, 0), sizes=(1, 2, 6, 6), steps=(1,) * 4)


@pytest.mark.parametrize("make", [of_the_input, over_rows, partly_broadcast, shifted])
def test_maps_that_cannot_leave_out_pixels(make: Make) -> None:
    b = Builder(2, (6, 6), np.random.default_rng(0))
    b.program.finish([("y", conv(b, make(b, b.program.block.args[0]), 2, (1, 1), strides=(2, 2)), FLOAT)])
    assert not HoistStrides().apply(b.program)


@pytest.mark.parametrize(
    "attributes",
    [{"strides": (1, 1)}, {"strides": (2, 2), "pads": (1, 0, 0, 0)}, {"strides": (2, 2), "kernel": (2, 1)}],
)
def test_readers_of_all_pixels(attributes: dict[str, tuple[int, ...]]) -> None:
    b = Builder(2, (6, 6), np.random.default_rng(0))
    y = conv(b, b.program.block.args[0], 2, (1, 1))
    kernel = attributes.pop("kernel", (1, 1))
    b.program.finish([("y", conv(b, y, 2, (kernel[0], kernel[1]), **attributes), FLOAT)])
    assert not HoistStrides().apply(b.program)


@pytest.mark.parametrize(
    ("starts", "sizes"),
    [((0, 0, 1, 0), (1, 2, 3, 3)), ((0, 0, 0, 0), (1, 2, 2, 3)), ((0, 0, 0, 0), (1, 1, 3, 3))],
)
def test_slices_that_leave_out_more(starts: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    b = Builder(2, (6, 6), np.random.default_rng(0))
    y = conv(b, b.program.block.args[0], 2, (1, 1))
    b.program.finish([("y", b.add(SliceOp, y, starts=starts, sizes=sizes, steps=(1, 1, 2, 2)), FLOAT)])
    assert not HoistStrides().apply(b.program)


def test_a_stride_moves_through_several_windows() -> None:
    """What the pass is for: a projection in front of an expansion that shrinks the map, and the windows before it."""
    b = Builder(2, (12, 12), np.random.default_rng(0))
    y = b.add(ReluOp, conv(b, b.program.block.args[0], 4, (1, 1)))
    y = b.add(MaxPoolOp, y, kernel=(3, 3), strides=(1, 1), pads=(1,) * 4, dilations=(1, 1))
    y = b.add(ReluOp, conv(b, b.add(SigmoidOp, y), 3, (1, 1)))
    b.program.finish([("y", conv(b, y, 5, (1, 1), strides=(2, 2)), FLOAT)])
    feeds = {"x": b.rng.normal(size=(1, 2, 12, 12)).astype(np.float32)}
    want = run(b.program, feeds)["y"]
    HoistStrides().apply(b.program)
    np.testing.assert_allclose(run(b.program, feeds)["y"], want, rtol=1e-5, atol=1e-5)
    windows = [op for op in b.program.ops if isinstance(op, ConvOp | PoolOp)]
    assert [op.get("strides") for op in windows] == [(1, 1), (2, 2), (1, 1), (1, 1)]
    assert [shape_of(op.results[0])[2:] for op in windows] == [(12, 12), (6, 6), (6, 6), (6, 6)]


def test_a_shortcut_that_is_read_whole_is_sliced() -> None:
    """Two blocks of a residual network, then one that shrinks the map: all but the first window of the second block."""
    b = Builder(2, (8, 8), np.random.default_rng(0))
    y = conv(b, b.program.block.args[0], 4, (3, 3), pads=(1,) * 4)
    for _ in range(2):
        inner = b.add(ReluOp, conv(b, b.add(ReluOp, conv(b, y, 2, (1, 1))), 2, (3, 3), pads=(1,) * 4))
        y = b.add(ReluOp, b.add(AddOp, conv(b, inner, 4, (1, 1)), y))
    b.program.finish([("y", b.add(AddOp, *(conv(b, y, 3, (1, 1), strides=(2, 2)) for _ in range(2))), FLOAT)])
    feeds = {"x": b.rng.normal(size=(1, 2, 8, 8)).astype(np.float32)}
    want = run(b.program, feeds)["y"]
    assert HoistStrides().apply(b.program)
    np.testing.assert_allclose(run(b.program, feeds)["y"], want, rtol=1e-4, atol=1e-4)
    windows = [op for op in b.program.ops if isinstance(op, ConvOp)]
    assert [shape_of(op.y)[2] for op in windows] == [8, 8, 8, 8, 8, 4, 4, 4, 4]
    (slice_,) = [op for op in b.program.ops if isinstance(op, SliceOp)]
    assert slice_.get("steps") == (1, 1, 2, 2)


def test_two_branches_with_quantizers_of_their_own() -> None:
    """A block of a quantized network that shrinks its input in both branches."""
    b = Builder(2, (7, 6), np.random.default_rng(0))
    y = b.add(ReluOp, conv(b, b.program.block.args[0], 4, (3, 3), pads=(1,) * 4))
    branches = [conv(b, mapped(b, "quantized", y, y), 3, (1, 1), strides=(2, 2)) for _ in range(2)]
    b.program.finish([("y", b.add(AddOp, *branches), FLOAT)])
    assert HoistStrides().apply(b.program)
    convolutions = [op for op in b.program.ops if isinstance(op, ConvOp)]
    assert [op.get("strides") for op in convolutions] == [(2, 2), (1, 1), (1, 1)]
