"""What the table and bit-sliced engines compute: one convolution with weights of {-1, 0, 1}, perhaps thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from xdsl.ir import Operation

from .....ir.kn.layout import PlanesLayout
from .....ir.tn.linear import ConvOp
from .....ir.tn.quant import ThresholdOp
from .....ir.types import element_of, is_float, range_of, shape_of, storage_dtype
from ...engine import Kernel, Planes

MAX_THRESHOLDS = 32
INT32_MAX = 2**31 - 1


class Refused(Exception):
    """Why an engine cannot compute a kernel."""


@dataclass(frozen=True)
class Levels:
    """A threshold step: level = base + step * #{x >= T}, or base + step * (n - #) where sign is -1.

    thresholds: int64 [O, n]. sign: int64 [O] of {-1, +1}.
    """

    thresholds: np.ndarray
    sign: np.ndarray
    base: int
    step: int


@dataclass(frozen=True)
class Problem:
    """One convolution x [C, H, W] * weights [O, C / group, kh, kw] -> [O, OH, OW].

    weights: int8 of {-1, 0, 1}. bias: int64 [O]. pads: top, left, bottom, right; the effective ones may be smaller.
    lo, hi: the activations' range with 0 (padding) in it. bytes_out: size of a stored result.
    """

    weights: np.ndarray
    bias: np.ndarray
    levels: Levels | None
    size: tuple[int, int]
    out: tuple[int, int]
    group: int
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    lo: int
    hi: int
    unsigned: bool
    bytes_out: int

    @property
    def channels(self) -> int:
        return self.weights.shape[1] * self.group

    @property
    def outputs(self) -> int:
        return self.weights.shape[0]

    @property
    def inputs(self) -> int:
        """Weights of one output channel."""
        return int(np.prod(self.weights.shape[1:]))

    @cached_property
    def sum_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest sum of each output channel, without bias."""
        flat = self.weights.reshape(self.outputs, -1)
        plus, minus = (flat > 0).sum(1), (flat < 0).sum(1)
        return plus * self.lo - minus * self.hi, plus * self.hi - minus * self.lo

    @property
    def largest(self) -> int:
        """A bound on the size of sums, negated ones too, and of results when sums are stored with their bias."""
        lo, hi = self.sum_bounds
        largest = max(int(np.abs(lo).max()), int(np.abs(hi).max()))
        if self.levels is None:
            largest = max(largest, int(np.abs(lo + self.bias).max()), int(np.abs(hi + self.bias).max()))
        return largest

    @property
    def stride(self) -> int:
        """The stride in both directions; an axis with one output has any stride. Raises Refused where they differ."""
        used = {s for s, size in zip(self.strides, self.out, strict=True) if size > 1}
        if len(used) > 1:
            raise Refused(f"strides {list(self.strides)} differ")
        return used.pop() if used else 1

    def request(self) -> Planes:
        """The layout of the input, with the padding that is really read as its border."""
        bottom, right = (
            (out - 1) * self.stride + dilation * (kernel - 1) - pad - (size - 1)
            for out, dilation, kernel, pad, size in zip(
                self.out, self.dilations, self.weights.shape[2:], self.pads[:2], self.size, strict=True
            )
        )
        border = tuple(max(v, 0) for v in (self.pads[0], self.pads[1], bottom, right))
        return Planes(*border, stride=self.stride, zero=any(border))

    def pitch(self) -> int:
        """The pitch of the smallest layout that holds the request: an estimate before layouts are decided."""
        border = self.request()
        return -(-(border.left + self.size[1] + border.right) // border.stride)

    def lanes(self, pitch: int) -> int:
        """Lanes from the first to the last output pixel, garbage between rows included."""
        return (self.out[0] - 1) * pitch + self.out[1]

    def taps(self, layout: PlanesLayout) -> list[int]:
        """The element offset of every filter tap, rows first, from the lane y * pitch + x of output pixel (y, x)."""
        s, offsets = layout.field("stride"), []
        phase_size = layout.field("size") // (s * s)
        _, _, rows, columns = self.weights.shape
        for ky in range(rows):
            y = ky * self.dilations[0] - self.pads[0] + layout.field("top")
            for kx in range(columns):
                x = kx * self.dilations[1] - self.pads[1] + layout.field("left")
                offsets.append((y % s * s + x % s) * phase_size + y // s * layout.field("pitch") + x // s)
        return offsets


def read_problem(kernel: Kernel) -> Problem:
    """The problem of a kernel [conv] or [conv, threshold]. Raises Refused with the reason for any other."""
    ops = kernel.ops
    if not ops or not isinstance(ops[0], ConvOp) or len(ops) > 2 or (len(ops) == 2 and not _follows(ops)):
        raise Refused("want one convolution, or one with a threshold along axis 1 behind it")
    conv = ops[0]
    if list(kernel.op.yielded) != [ops[-1].results[0]] or kernel.input_index(conv.x) is None or len(kernel.inputs) > 1:
        raise Refused("want one input, the convolution's, and one result")
    x, y = shape_of(conv.x), shape_of(conv.y)
    if len(x) != 4 or x[0] != 1 or 0 in y:
        raise Refused(f"want a map [1, C, H, W], have {list(x)} -> {list(y)}")
    if is_float(conv.x) or storage_dtype(element_of(conv.x)).itemsize != 1:
        raise Refused(f"want activations of 8 bits, have {element_of(conv.x)}")
    weights = kernel.array(conv.w)
    if weights is None or not np.isin(weights, (-1, 0, 1)).all():
        raise Refused("want constant weights of {-1, 0, 1}")
    bias = kernel.array(conv.bias) if conv.bias is not None else np.zeros(len(weights), np.int64)
    if bias is None:
        raise Refused("want a constant bias")
    lo, hi = range_of(element_of(conv.x))
    problem = Problem(
        weights=weights.astype(np.int8), bias=bias.astype(np.int64), levels=_levels(kernel, ops[1:]),
        size=(x[2], x[3]), out=(y[2], y[3]), group=conv.get("group"), strides=conv.get("strides"),
        pads=conv.get("pads"), dilations=conv.get("dilations"), lo=min(lo, 0), hi=max(hi, 0),
        unsigned=storage_dtype(element_of(conv.x)).kind == "u",
        bytes_out=storage_dtype(element_of(ops[-1].results[0])).itemsize,
    )  # fmt: skip
    if problem.largest + 1 > INT32_MAX:
        raise Refused("sums beyond 32 bits")
    if problem.bytes_out > 4:
        raise Refused("results beyond 32 bits")
    _ = problem.stride
    return problem


def _follows(ops: list[Operation]) -> bool:
    conv, last = ops
    return isinstance(last, ThresholdOp) and last.x is conv.results[0] and last.get("axis") in (1, -3)


def _levels(kernel: Kernel, ops: list[Operation]) -> Levels | None:
    if not ops:
        return None
    (op,) = ops
    assert isinstance(op, ThresholdOp)
    thresholds = kernel.array(op.thresholds)
    sign = kernel.array(op.sign) if op.sign is not None else np.ones(1, np.int64)
    if thresholds is None or sign is None:
        raise Refused("want constant thresholds")
    if not 1 <= thresholds.shape[1] <= MAX_THRESHOLDS:
        raise Refused(f"want 1..{MAX_THRESHOLDS} thresholds a channel, have {thresholds.shape[1]}")
    if storage_dtype(element_of(op.results[0])).itemsize != 1:
        raise Refused(f"want levels of 8 bits, have {element_of(op.results[0])}")
    channels = shape_of(op.x)[1]
    return Levels(
        np.broadcast_to(thresholds.astype(np.int64), (channels, thresholds.shape[1])),
        np.broadcast_to(sign.astype(np.int64), (channels,)),
        op.get("base"),
        op.get("step"),
    )
