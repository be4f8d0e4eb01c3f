"""What the table and bit-sliced engines compute: one convolution with weights of {-1, 0, 1}, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from xdsl.ir import Attribute, SSAValue

from ....ir.kn.requests import LayoutRequest, Planes
from ....ir.tn.linear import ConvOp
from ....ir.tn.quant import SelectThresholdOp, ThresholdOp
from ....ir.types import element_of, is_float, range_of, shape_of, storage_dtype
from ..engine import Constants, Kernel, once_per_kernel
from ..limits import INT32_MAX
from ..planes import planes_initialiser
from ..refusal import Refused
from .convolution import Convolution, check_finish, epilogue_requests, find_convolution, finish_function

MAX_THRESHOLDS = 32


@dataclass(frozen=True)
class Levels:
    """A threshold step: level = base + step * #{x >= T}, or base + step * (n - #) where sign is -1.

    thresholds: int64 [O, n]. sign: int64 [O] of {-1, +1}. Where a second operand selects among `choices` rows of n
    thresholds (tn.select_threshold) they are [O, choices * n], row by row; `first` selects row 0.
    """

    thresholds: np.ndarray
    sign: np.ndarray
    base: int
    step: int
    choices: int = 1
    first: int = 0
    selector: SSAValue | None = None

    @property
    def steps(self) -> int:
        """Thresholds of one row."""
        return self.thresholds.shape[1] // self.choices


@dataclass(frozen=True)
class Problem(Convolution):
    """A convolution with weights of {-1, 0, 1} (int8) over integers of 8 bits.

    What becomes of the sums: levels where they only meet thresholds; `finish`: an epilogue takes them; else they are
    the result.
    bias: int64 [O]. lo, hi: the activations' range with 0 (padding) in it. bytes_out: size of a stored result or of a
    sum for `finish`.
    """

    bias: np.ndarray
    levels: Levels | None
    finish: bool
    lo: int
    hi: int
    unsigned: bool
    bytes_out: int

    @property
    def stored_bias(self) -> np.ndarray:
        """int64 [O]: the bias of what the engine itself stores or compares; an epilogue adds its own."""
        return np.zeros_like(self.bias) if self.finish else self.bias

    def results(self, kernel: Kernel) -> Attribute:
        """The type of the map that the engine computes: what it stores, or the sums that it leaves to `finish`."""
        return self.root.y.type if self.finish else kernel.outputs[0]

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


@once_per_kernel
def read_problem(kernel: Kernel) -> Problem:
    """The problem of a kernel that begins with a convolution. Raises Refused with the reason for any other."""
    ops, conv = kernel.ops, find_convolution(kernel)
    x, y = shape_of(conv.x), shape_of(conv.y)
    if is_float(conv.x) or storage_dtype(element_of(conv.x)).itemsize != 1:
        raise Refused(f"expected activations of 8 bits, got {element_of(conv.x)}")
    if (weights := kernel.ternary(conv.w)) is None:
        raise Refused("expected constant weights of {-1, 0, 1}")
    bias = kernel.array(conv.bias) if conv.bias is not None else np.zeros(len(weights), np.int64)
    if bias is None:
        raise Refused("expected a constant bias")
    lo, hi = range_of(element_of(conv.x))
    levels = _levels(kernel, conv)
    finish = levels is None and len(ops) > 1
    problem = Problem(
        root=conv, weights=weights, bias=bias.astype(np.int64), levels=levels, finish=finish,
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
        check_finish(kernel, conv, problem.bias)
    elif list(kernel.op.yielded) != [ops[-1].results[0]]:
        raise Refused("expected one result")
    return problem


@dataclass(frozen=True)
class Results:
    """What a kernel's code says of its results. finish: the name of the C function that takes the sums, or NULL; text:
    its definition; clears: statements that clear borders; fields: initialisers of a layer's `out` and `selector`."""

    finish: str
    text: list[str]
    clears: list[str]
    fields: list[str]


def results_code(kernel: Kernel, problem: Problem, longest: int, constants: Constants) -> Results:
    """longest: pixels of a run that `finish` is given."""
    fields = [
        f"    .out = {planes_initialiser(problem.results(kernel), problem.bytes_out)},",
        f"    .selector = {_selector(kernel, problem)},",
    ]
    if not problem.finish:
        return Results("NULL", [], [], fields)
    text, clears = finish_function(kernel, problem.root, problem.bias, longest, constants)
    return Results(f"{kernel.symbol}_finish", [*text.splitlines(), ""], clears, fields)


def _selector(kernel: Kernel, problem: Problem) -> str:
    """A C initialiser of `struct epilogue_selector`."""
    levels = problem.levels
    if levels is None or levels.selector is None:
        return "{.choices = 1}"
    operand = kernel.input_index(levels.selector)
    assert operand is not None
    choice = f".choices = {levels.choices}, .first = {levels.first}, .operand = {operand}"
    return f"{{{choice}, .map = {planes_initialiser(kernel.inputs[operand])}}}"


def layout_requests(kernel: Kernel, problem: Problem) -> list[LayoutRequest]:
    """The layouts that a kernel wants of its operands."""
    if problem.levels is not None and problem.levels.selector is not None:
        return [problem.request(), *([Planes()] if len(kernel.inputs) > 1 else [])]
    return epilogue_requests(kernel, problem)


def _levels(kernel: Kernel, conv: ConvOp) -> Levels | None:
    """The thresholds along axis 1, where they are all that follows the convolution."""
    op = kernel.ops[-1]
    if len(kernel.ops) != 2 or not isinstance(op, ThresholdOp | SelectThresholdOp):
        return None
    if op.x is not conv.y or op.get("axis") not in (1, -3):
        return None
    thresholds = kernel.array(op.thresholds)
    sign = kernel.array(op.sign) if op.sign is not None else np.ones(1, np.int64)
    if thresholds is None or sign is None or not 1 <= thresholds[0].size <= MAX_THRESHOLDS:
        return None
    if storage_dtype(element_of(op.results[0])).itemsize != 1:
        return None
    channels = shape_of(op.x)[1]
    levels = Levels(
        np.broadcast_to(thresholds.astype(np.int64).reshape(len(thresholds), -1), (channels, thresholds[0].size)),
        np.broadcast_to(sign.astype(np.int64), (channels,)),
        op.get("base"),
        op.get("step"),
    )
    if isinstance(op, ThresholdOp):
        return levels
    element = element_of(op.selector)
    if kernel.input_index(op.selector) is None or storage_dtype(element).name != "int8":
        return None
    if op.selector is conv.x and set(conv.get("strides")) != {1}:
        return None  # the convolution wants its pixels in phases
    return replace(levels, choices=thresholds.shape[1], first=op.get("first"), selector=op.selector)
