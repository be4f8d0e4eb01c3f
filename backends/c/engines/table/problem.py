"""What the table and bit-sliced engines compute: one convolution with weights of {-1, 0, 1}, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .....ir.kn.layout import PlanesLayout
from .....ir.tn.linear import ConvOp
from .....ir.tn.quant import ThresholdOp
from .....ir.types import element_of, is_float, range_of, shape_of, storage_dtype
from ...engine import Constants, Kernel, LayoutRequest, Planes
from ...epilogue import Epilogue, Grid, Refused, epilogue_reads

MAX_THRESHOLDS = 32
INT32_MAX = 2**31 - 1


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

    What becomes of the sums: levels where they only meet thresholds; `finish`: an epilogue takes them; else they are
    the result.
    weights: int8 of {-1, 0, 1}. bias: int64 [O]. pads: top, left, bottom, right; the effective ones may be smaller.
    lo, hi: the activations' range with 0 (padding) in it. bytes_out: size of a stored result or of a sum for `finish`.
    """

    root: ConvOp
    weights: np.ndarray
    bias: np.ndarray
    levels: Levels | None
    finish: bool
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
        if self.levels is None and not self.finish:
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
    """The problem of a kernel that begins with a convolution. Raises Refused with the reason for any other."""
    ops = kernel.ops
    conv = next((op for op in ops if isinstance(op, ConvOp)), None)
    if conv is None or kernel.input_index(conv.x) != 0:
        raise Refused("want a convolution of the first operand")
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
    levels = _levels(kernel, conv)
    finish = levels is None and len(ops) > 1
    problem = Problem(
        root=conv, weights=weights.astype(np.int8), bias=bias.astype(np.int64), levels=levels, finish=finish,
        size=(x[2], x[3]), out=(y[2], y[3]), group=conv.get("group"), strides=conv.get("strides"),
        pads=conv.get("pads"), dilations=conv.get("dilations"), lo=min(lo, 0), hi=max(hi, 0),
        unsigned=storage_dtype(element_of(conv.x)).kind == "u",
        bytes_out=4 if finish else storage_dtype(element_of(ops[-1].results[0])).itemsize,
    )  # fmt: skip
    if problem.largest + int(np.abs(problem.bias).max(initial=0)) + 1 > INT32_MAX:
        raise Refused("sums beyond 32 bits")
    if problem.bytes_out > 4:
        raise Refused("results beyond 32 bits")
    _ = problem.stride
    if finish:
        finish_function(kernel, problem, 1, Constants())
    elif list(kernel.op.yielded) != [ops[-1].results[0]]:
        raise Refused("want one result")
    return problem


def finish_function(kernel: Kernel, problem: Problem, longest: int, constants: Constants) -> tuple[str, list[str]]:
    """C of `SYMBOL_finish` for runs of up to `longest` pixels, and of the statements that clear borders.

    Raises Refused where the operations behind the convolution are more than an epilogue.
    """
    epilogue = Epilogue(kernel, problem.root, Grid(shape_of(problem.root.y), 2), longest)
    text = epilogue.build(problem.bias.reshape(-1, 1, 1), constants)
    return text, epilogue.clears()


def layout_requests(kernel: Kernel) -> list[LayoutRequest]:
    """The layouts that a kernel wants of its operands."""
    problem = read_problem(kernel)
    return epilogue_reads(kernel, problem.root.x, problem.request(), Grid(shape_of(problem.root.y), 2))


def _levels(kernel: Kernel, conv: ConvOp) -> Levels | None:
    """The thresholds along axis 1, where they are all that follows the convolution."""
    op = kernel.ops[-1]
    if len(kernel.ops) != 2 or not isinstance(op, ThresholdOp) or op.x is not conv.y or op.get("axis") not in (1, -3):
        return None
    thresholds = kernel.array(op.thresholds)
    sign = kernel.array(op.sign) if op.sign is not None else np.ones(1, np.int64)
    if thresholds is None or sign is None or not 1 <= thresholds.shape[1] <= MAX_THRESHOLDS:
        return None
    if storage_dtype(element_of(op.results[0])).itemsize != 1:
        return None
    channels = shape_of(op.x)[1]
    return Levels(
        np.broadcast_to(thresholds.astype(np.int64), (channels, thresholds.shape[1])),
        np.broadcast_to(sign.astype(np.int64), (channels,)),
        op.get("base"),
        op.get("step"),
    )
