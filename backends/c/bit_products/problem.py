"""What the popcount engine computes: a convolution or matrix product of values that one or two bits hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from ....ir.kn.bits import BitsLayout, planes_in_bits
from ....ir.kn.layout import Layout, PlanesLayout
from ....ir.kn.requests import Bits, LayoutRequest
from ....ir.tn.linear import ConvOp, MatMulOp
from ....ir.tn.quant import SelectThresholdOp, ThresholdOp
from ....ir.types import Element, element_of, range_of, shape_of, values_of
from ..engine import Kernel, once_per_kernel
from ..epilogue import Grid, epilogue_reads
from ..limits import INT32_MAX
from ..refusal import Refused

MOST_THRESHOLDS = 4
MOST_CLASSES = 1024
"""Rectangles of pixels that see the same filter taps, at most: constants of outputs are stored for each."""


@dataclass(frozen=True)
class Span:
    """Outputs [begin, end) of an axis see filter taps [first, first + count)."""

    begin: int
    end: int
    first: int
    count: int


@dataclass(frozen=True)
class Levels:
    """Thresholds after the sums: passed j of them, an output o is values[o, j].

    thresholds: int64 [outputs, choices, n], where the value of `selector`, less `first`, chooses.
    """

    thresholds: np.ndarray
    values: np.ndarray
    element: Element
    first: int = 0
    selector: SSAValue | None = None


@dataclass(frozen=True)
class Problem:
    """x [images, groups * channels, height, width] by weights [groups, outputs, channels, kernel height, kernel width]
    of {-1, 0, 1} (int8). A matrix product has its rows as pixels of one row.

    axis, out_axis: of the channels in the operand and in the root's result; out_axis -1 where it has none. grid: the
    result as an epilogue sees it. bias: int64 [groups * outputs].
    """

    root: Operation
    x: SSAValue
    weights: np.ndarray
    bias: np.ndarray
    grid: Grid
    axis: int
    out_axis: int
    images: int
    size: tuple[int, int]
    out: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    levels: Levels | None = None

    @property
    def rows(self) -> bool:
        """Whether the channels of a pixel are neighbours in the result: a matrix product."""
        return isinstance(self.root, MatMulOp)

    @property
    def groups(self) -> int:
        return self.weights.shape[0]

    @property
    def outputs(self) -> int:
        """Output channels of a group."""
        return self.weights.shape[1]

    @property
    def channels(self) -> int:
        """Input channels of a group."""
        return self.weights.shape[2]

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weights.shape[3], self.weights.shape[4]

    @property
    def words(self) -> int:
        """64-bit words of one bit of a group's channels."""
        return -(-self.channels // 64)

    @property
    def element(self) -> Element:
        return element_of(self.x)

    @property
    def joined(self) -> bool:
        """Whether neighbouring taps of a row are one run of words."""
        return self.groups == 1 and self.dilations[1] == 1

    @property
    def planes(self) -> int:
        """Bits of an activation."""
        return planes_in_bits(self.element)

    def spans(self, axis: int) -> list[Span]:
        """The outputs of an axis by the filter taps that lie inside the input."""
        size, kernel, stride, dilation, pad = (
            v[axis] for v in (self.size, self.kernel, self.strides, self.dilations, self.pads)
        )
        found: list[Span] = []
        for o in range(self.out[axis]):
            inside = [k for k in range(kernel) if 0 <= o * stride - pad + k * dilation < size]
            first, count = (inside[0], len(inside)) if inside else (0, 0)
            last = found[-1] if found else None
            if last is not None and (last.first, last.count) == (first, count):
                found[-1] = replace(last, end=o + 1)
            else:
                found.append(Span(o, o + 1, first, count))
        return found

    def seen(self, taps: np.ndarray) -> np.ndarray:
        """What filter taps [outputs, kernel height, kernel width] add up to for the pixels that see some of them alone:
        [classes, outputs], classes row by row."""
        rows, columns = (self.spans(axis) for axis in (0, 1))
        return np.stack([
            taps[:, r.first : r.first + r.count, c.first : c.first + c.count].sum(axis=(1, 2))
            for r in rows
            for c in columns
        ])  # fmt: skip


@once_per_kernel
def read_problem(kernel: Kernel) -> Problem:
    """The problem of a kernel. Raises Refused with the reason where it is another one."""
    roots = [op for op in kernel.ops if isinstance(op, ConvOp | MatMulOp)]
    if len(roots) != 1:
        raise Refused(f"expected one conv or matmul, got {len(roots)}")
    root = roots[0]
    x, weights = root.operands[:2]
    stored = kernel.array(weights)
    if kernel.input_index(x) is None or stored is None:
        raise Refused(f"{root.name}: expected an operand of the kernel and constant weights")
    if 0 in (*shape_of(x), *stored.shape, *shape_of(root.results[0])):
        raise Refused("an empty tensor")
    if not planes_in_bits(element_of(x)):
        raise Refused(f"expected activations of two values or of -1, 0 and 1, got {element_of(x)}")
    if (array := kernel.ternary(weights)) is None:
        raise Refused("expected weights of {-1, 0, 1}")
    problem = read_convolution(kernel, root, array) if isinstance(root, ConvOp) else _product(root, array)
    if len(problem.spans(0)) * len(problem.spans(1)) > MOST_CLASSES:
        raise Refused("a filter of too many taps")
    largest = max(map(abs, range_of(problem.element))) * prod(problem.weights.shape[2:])
    if 4 * largest + int(np.abs(problem.bias).max(initial=0)) > INT32_MAX:
        raise Refused("sums beyond 32 bits")
    levels = _levels(kernel, problem)
    if levels is None and any(v is x for op in kernel.ops if op is not root for v in op.operands):
        raise Refused("an epilogue that reads the activations")
    return replace(problem, levels=levels)


def layout_requests(kernel: Kernel, problem: Problem, levels: Levels | None, request: Bits) -> Sequence[LayoutRequest]:
    """The layouts that a kernel wants of its operands: `request` for the activations. levels: what the engine itself
    compares."""
    if levels is None:
        return epilogue_reads(kernel, problem.x, request, problem.grid)
    return [request if v is problem.x else Bits(problem.out_axis) for v in kernel.op.block.args]


def writes(problem: Problem, levels: Levels | None, layout: Layout) -> bool:
    """Whether results can lie in a layout. levels: what the engine itself compares."""
    if isinstance(layout, PlanesLayout):
        return problem.levels is None or problem.out_axis == 1
    return levels is not None and layout == BitsLayout.of(problem.out_axis)


def read_convolution(kernel: Kernel, root: ConvOp, weights: np.ndarray) -> Problem:
    """A convolution of one map or of a batch. Raises Refused."""
    shape, out, group = shape_of(root.x), shape_of(root.y), root.get("group")
    rank = len(shape) - 2

    def pair(values: tuple[int, ...], missing: int) -> tuple[int, int]:
        return (values[0], values[1]) if rank == 2 else (missing, values[0])

    if min(root.get("pads")) < 0:
        raise Refused("negative pads")
    bias = kernel.array(root.bias) if root.bias is not None else np.zeros(out[1], np.int64)
    if bias is None:
        raise Refused("a bias that is not constant")
    split = weights.reshape(group, out[1] // group, shape[1] // group, *pair(weights.shape[2:], 1))
    problem = Problem(
        root, root.x, split, bias.astype(np.int64), Grid(out, 2), 1, 1, shape[0], pair(shape[2:], 1), pair(out[2:], 1),
        pair(root.get("strides"), 1), pair(root.get("dilations"), 1), pair(root.get("pads")[:rank], 0),
    )  # fmt: skip
    if problem.kernel == problem.strides == (1, 1) and problem.size == problem.out and problem.pads == (0, 0):
        row = (1, prod(problem.size))  # one long row
        return replace(problem, size=row, out=row, dilations=(1, 1))
    return problem


def _product(root: MatMulOp, weights: np.ndarray) -> Problem:
    x, y = shape_of(root.a), shape_of(root.y)
    if weights.ndim > 2:
        if prod(weights.shape[:-2]) != 1:
            raise Refused("a batch of weight matrices")
        weights = weights.reshape(weights.shape[-2:])
    columns = len(shape_of(root.b)) > 1
    matrix = weights.reshape(x[-1], -1)
    rows = (1, prod(x[:-1]))
    split = np.ascontiguousarray(matrix.T)[None, :, :, None, None]
    bias = np.zeros(matrix.shape[1], np.int64)
    grid = Grid(y, len(y) - columns)
    return Problem(root, root.a, split, bias, grid, len(x) - 1, len(y) - 1 if columns else -1, 1, rows, rows)


def _levels(kernel: Kernel, problem: Problem) -> Levels | None:
    """The thresholds along the channels, where they are all that follows and their levels are few."""
    op = kernel.ops[-1]
    if len(kernel.ops) != 2 or not isinstance(op, ThresholdOp | SelectThresholdOp) or problem.out_axis < 0:
        return None
    shape, element = shape_of(op.x), element_of(op.results[0])
    if op.x is not problem.root.results[0] or op.get("axis") % len(shape) != problem.out_axis:
        return None
    if not planes_in_bits(element) or list(kernel.op.yielded) != [op.results[0]]:
        return None
    thresholds = kernel.array(op.thresholds)
    sign = kernel.array(op.sign) if op.sign is not None else np.ones(1, np.int64)
    if thresholds is None or sign is None or not 1 <= thresholds.shape[-1] <= MOST_THRESHOLDS:
        return None
    outputs, n = problem.groups * problem.outputs, thresholds.shape[-1]
    table = thresholds.astype(np.int64).reshape(len(thresholds), -1, n)
    count = np.arange(n + 1)
    passed = np.where(np.broadcast_to(sign, outputs)[:, None] > 0, count, n - count)
    values = op.get("base") + op.get("step") * passed
    levels = Levels(np.broadcast_to(table, (outputs, *table.shape[1:])), values, element)
    if isinstance(op, ThresholdOp):
        return levels
    selector = element_of(op.selector)
    if kernel.input_index(op.selector) is None or not planes_in_bits(selector):
        return None
    if op.selector is problem.x and problem.groups > 1:
        return None  # the product wants its channels in groups
    if not set(values_of(selector)) <= set(range(op.get("first"), op.get("first") + table.shape[1])):
        return None
    return replace(levels, first=op.get("first"), selector=op.selector)
