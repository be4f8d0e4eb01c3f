"""What a dense kernel computes: a convolution or a matrix product, read from the kernel's operations."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

import numpy as np
from xdsl.ir import Operation, SSAValue

from ....ir.tn.linear import ConvOp, MatMulOp
from ....ir.types import shape_of
from ..engine import Kernel, once_per_kernel
from ..epilogue import Grid
from ..refusal import Refused


@dataclass(frozen=True)
class MatMul:
    """x [rows, inputs] * weights [inputs, columns]; x is an operand of the kernel in row-major order."""

    root: Operation
    x: SSAValue
    weights: np.ndarray
    grid: Grid
    rows: int

    @property
    def inputs(self) -> int:
        return self.weights.shape[0]

    @property
    def columns(self) -> int:
        return self.weights.shape[1]

    @property
    def macs(self) -> int:
        return self.rows * self.inputs * self.columns


@dataclass(frozen=True)
class Conv:
    """x [images, groups * channels, height, width], weights [groups, outputs, channels, *kernel]; 1-D has height 1.

    pads: top and left; what lies below and right follows from the output's size.
    """

    root: Operation
    x: SSAValue
    weights: np.ndarray
    grid: Grid
    images: int
    size: tuple[int, int]
    out: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]

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
    def phases(self) -> tuple[int, int]:
        """How many residues of the stride the filter taps meet, on each axis."""
        y, x = (min(k, s // gcd(s, d)) for k, s, d in zip(self.kernel, self.strides, self.dilations, strict=True))
        return y, x

    @property
    def reach(self) -> tuple[int, int]:
        """How many rows and columns the last filter tap lies after the first, inside a phase."""
        y, x = ((k - 1) * d // s for k, s, d in zip(self.kernel, self.strides, self.dilations, strict=True))
        return y, x

    @property
    def shared_border(self) -> int:
        """How many padded columns right of a row can be those left of the next row, in every phase; none of outputs."""
        found = [self.reach[1]]
        for phase in range(self.phases[1]):
            stride, shift = self.strides[1], phase * self.dilations[1] % self.strides[1] - self.pads[1]
            begin, end = -(shift // stride), -((shift - self.size[1]) // stride)  # columns of the input in a row
            found.append(min(begin, self.out[1] + self.reach[1] - end))
        return max(0, min(found))

    @property
    def macs(self) -> int:
        return self.images * prod(self.out) * self.weights.size


Problem = Conv | MatMul


@once_per_kernel
def read_problem(kernel: Kernel) -> Problem:
    """The kernel's root as a problem. Raises Refused where it is none of the two."""
    roots = [op for op in kernel.ops if isinstance(op, ConvOp | MatMulOp)]
    if len(roots) != 1:
        raise Refused(f"expected one conv or matmul, got {len(roots)}")
    root = roots[0]
    x, weights = root.operands[:2]
    array = kernel.array(weights)
    if kernel.input_index(x) is None or array is None:
        raise Refused(f"{root.name}: expected an operand of the kernel and constant weights")
    if 0 in (*shape_of(x), *array.shape, *shape_of(root.results[0])):
        raise Refused("an empty tensor")
    return _read_conv(root, x, array) if isinstance(root, ConvOp) else _read_matmul(root, x, array)


def bias_of(kernel: Kernel, problem: Problem) -> np.ndarray | None:
    """What is added to the sums of each output, broadcasting against the root's result; None where nothing is. Raises
    Refused where it is not constant."""
    operands = problem.root.operands[2:]
    if not operands:
        return None
    if (bias := kernel.array(operands[0])) is None:
        raise Refused("a bias that is not constant")
    return bias.reshape(-1, *(1,) * (len(problem.grid.shape) - 2))


def read_matmul(kernel: Kernel) -> MatMul:
    """The kernel's root as a matrix product. Raises Refused where it is none."""
    problem = read_problem(kernel)
    if not isinstance(problem, MatMul):
        raise Refused("expected a matrix product")
    return problem


def _read_matmul(root: MatMulOp, x: SSAValue, weights: np.ndarray) -> MatMul:
    shape, inputs = shape_of(root.y), shape_of(x)[-1]
    if weights.ndim > 2:
        if prod(weights.shape[:-2]) != 1:
            raise Refused("a batch of weight matrices")
        weights = weights.reshape(weights.shape[-2:])
    split = len(shape) - (root.b.type.get_num_dims() > 1)  # type: ignore[attr-defined]
    matrix = weights.reshape(inputs, -1)
    return MatMul(root, x, matrix, Grid(shape, split), prod(shape_of(x)) // inputs)


def _read_conv(root: ConvOp, x: SSAValue, weights: np.ndarray) -> Problem:
    shape, out, group = shape_of(x), shape_of(root.y), root.get("group")
    rank = len(shape) - 2

    def pair(values: tuple[int, ...], missing: int) -> tuple[int, int]:
        return (values[0], values[1]) if rank == 2 else (missing, values[0])

    if min(root.get("pads")) < 0:
        raise Refused("negative pads")
    kernel = pair(weights.shape[2:], 1)
    conv = Conv(
        root, x, weights.reshape(group, out[1] // group, shape[1] // group, *kernel), Grid(out, 2), shape[0],
        pair(shape[2:], 1), pair(out[2:], 1), pair(root.get("strides"), 1), pair(root.get("dilations"), 1),
        pair(root.get("pads")[:rank], 0),
    )  # fmt: skip
    return _as_matmul(conv) or _flattened(conv)


def _as_matmul(conv: Conv) -> MatMul | None:
    """A convolution with one output pixel whose window covers the whole input is a matrix product of its images."""
    if conv.groups != 1 or conv.out != (1, 1):
        return None
    inside = [
        [k for k in range(conv.kernel[i]) if 0 <= k * conv.dilations[i] - conv.pads[i] < conv.size[i]] for i in (0, 1)
    ]
    if any(
        [k * conv.dilations[i] - conv.pads[i] for k in taps] != list(range(conv.size[i]))
        for i, taps in enumerate(inside)
    ):
        return None
    used = conv.weights[0][:, :, inside[0]][:, :, :, inside[1]]
    matrix = np.ascontiguousarray(used.reshape(conv.outputs, -1).T)
    return MatMul(conv.root, conv.x, matrix, Grid(conv.grid.shape, 1), conv.images)


def _flattened(conv: Conv) -> Conv:
    """A 1x1 convolution with stride 1 sees its map as one long row."""
    if conv.kernel != (1, 1) or conv.strides != (1, 1) or conv.pads != (0, 0) or conv.size != conv.out:
        return conv
    row = (1, prod(conv.size))
    return Conv(conv.root, conv.x, conv.weights, conv.grid, conv.images, row, row, (1, 1), (1, 1), (0, 0))
