"""Pools over the spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ....ir.tn.elementwise import MulOp
from ....ir.tn.linear import MatMulOp
from ....ir.tn.pool import AvgPoolOp, MaxPoolOp, ReduceMeanOp
from ...emitter import Emitter
from ...forms.window import with_overhang
from ...values import Refusal, Value
from ..node import TorchNode
from ..registry import imports
from ._arguments import expanded


def _with_batch(e: Emitter, x: Value, rank: int) -> Value:
    """x with the axes N and C; torch takes it without N, too."""
    return e.reshape(x, (1, *x.shape)) if x.rank == rank + 1 else x


def _rank(node: TorchNode) -> int:
    """Of the spatial axes, from the operator's name."""
    return next(int(c) for c in reversed(node.op_type.removesuffix("_with_indices")) if c.isdigit())


@imports("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices")
def max_pool(
    e: Emitter,
    node: TorchNode,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Value | list[Value | None]:
    """Floats and integers; an overhang of ceil_mode becomes padding at the end."""
    rank = _rank(node)
    kernel, dilations = expanded(kernel_size, rank), expanded(dilation, rank)
    strides = expanded(stride, rank) if stride else kernel
    wide = _with_batch(e, x, rank)
    pads = expanded(padding, rank) * 2
    if ceil_mode:
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        pads = with_overhang(wide.shape[2:], spans, strides, pads)
    y = e.op(MaxPoolOp, wide, kernel=kernel, strides=strides, dilations=dilations, pads=pads)
    y = e.reshape(y, y.shape[1:]) if wide.rank > x.rank else y
    return [y, None] if node.op_type.endswith("_with_indices") else y


@imports("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    e: Emitter,
    node: TorchNode,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    """The overhang of ceil_mode never counts; the padding does with count_include_pad."""
    rank = _rank(node)
    kernel = expanded(kernel_size, rank)
    strides = expanded(stride, rank) if stride else kernel
    wide = _with_batch(e, x, rank)
    given = expanded(padding, rank) * 2
    pads = with_overhang(wide.shape[2:], kernel, strides, given) if ceil_mode else given
    if divisor_override is not None:
        given = pads  # every element of the window counts
    counted = given if count_include_pad or divisor_override is not None else (0,) * 2 * rank
    inside = tuple(min(c, p) for c, p in zip(counted, pads, strict=True))
    ones = (1,) * rank
    y = e.op(AvgPoolOp, wide, kernel=kernel, strides=strides, dilations=ones, pads=pads, counted=inside)
    if divisor_override is not None:
        y = e.op(MulOp, y, e.constant(prod(kernel) / divisor_override, "divisor"))
    return e.reshape(y, y.shape[1:]) if wide.rank > x.rank else y


@imports("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_avg_pool(e: Emitter, node: TorchNode, x: Value, output_size: Sequence[int]) -> Value:
    """Window i of an axis goes from floor(i n / o) to ceil((i + 1) n / o)."""
    rank = _rank(node)
    out = expanded(output_size, rank)
    first = x.rank - rank
    size = x.shape[first:]
    if min(size) < 1 or min(out) < 1:
        raise Refusal("an adaptive pool of or to nothing is not supported")
    if all(o == 1 for o in out):
        return e.op(ReduceMeanOp, x, axes=tuple(range(first, x.rank)), keepdims=1)
    if all(n % o == 0 for n, o in zip(size, out, strict=True)):
        wide = _with_batch(e, x, rank)
        kernel, zeros = tuple(n // o for n, o in zip(size, out, strict=True)), (0,) * 2 * rank
        y = e.op(AvgPoolOp, wide, kernel=kernel, strides=kernel, dilations=(1,) * rank, pads=zeros, counted=zeros)
        return e.reshape(y, y.shape[1:]) if wide.rank > x.rank else y
    for axis, (n, o) in enumerate(zip(size, out, strict=True), start=first):
        x = _averaged(e, x, axis, n, o)
    return x


@imports("adaptive_max_pool1d", "adaptive_max_pool2d")
def adaptive_max_pool(e: Emitter, node: TorchNode, x: Value, output_size: Sequence[int]) -> list[Value | None]:
    """Where all windows are alike."""
    rank = _rank(node)
    out, size = expanded(output_size, rank), x.shape[x.rank - rank :]
    if min(out) < 1 or any(n % o for n, o in zip(size, out, strict=True)):
        raise Refusal(f"an adaptive pool from {list(size)} to {list(out)} is not supported, only to a divisor")
    wide, kernel = _with_batch(e, x, rank), tuple(n // o for n, o in zip(size, out, strict=True))
    y = e.op(MaxPoolOp, wide, kernel=kernel, strides=kernel, dilations=(1,) * rank, pads=(0,) * 2 * rank)
    return [e.reshape(y, y.shape[1:]) if wide.rank > x.rank else y, None]


def _averaged(e: Emitter, x: Value, axis: int, n: int, o: int) -> Value:
    """The product with a matrix of shares along one axis."""
    if n == o:
        return x
    shares = np.zeros((n, o), np.float32)
    for i in range(o):
        begin, end = i * n // o, -(-(i + 1) * n // o)
        shares[begin:end, i] = np.float32(1) / np.float32(end - begin)
    perm = [a for a in range(x.rank) if a != axis] + [axis]
    y = e.op(MatMulOp, e.transpose(x, perm), e.constant(shares, f"shares{axis}"))
    return e.transpose(y, [perm.index(a) for a in range(x.rank)])
