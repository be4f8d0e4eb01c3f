"""What the float table engine computes: a float convolution whose weights take two or three values, up to scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from .....ir.kn.requests import Dense, LayoutRequest
from .....ir.types import is_float, shape_of
from ...convolutions.convolution import Convolution, check_finish, epilogue_requests, find_convolution
from ...digits import Digits, find_digits
from ...engine import Kernel
from ...refusal import Refused


@dataclass(frozen=True)
class Problem(Convolution):
    """A float convolution with weights of few values. bias: float32 [O] or None. folded: whether `size` and `out` are
    the pixels of a dense map in other rows than its own."""

    digits: Digits
    bias: np.ndarray | None
    folded: bool = False

    def reads(self, kernel: Kernel) -> list[LayoutRequest]:
        """The layouts that the kernel wants of its operands."""
        return epilogue_requests(kernel, self, Dense() if self.folded else self.request())

    def folds(self, widths: Sequence[int]) -> list[Problem]:
        """The same convolution with rows of these widths, where it sees single pixels and they are so many rows."""
        pixels = prod(self.size)
        if self.weights.shape[2:] != (1, 1) or self.out != self.size or any(self.pads):
            return []
        shapes = [(pixels // width, width) for width in widths if pixels % width == 0 and width != self.size[1]]
        return [replace(self, size=shape, out=shape, strides=(1, 1), folded=True) for shape in shapes]


def read_problem(kernel: Kernel) -> Problem:
    """The problem of a kernel that begins with a convolution. Raises Refused with the reason for any other."""
    conv = find_convolution(kernel)
    x, y = shape_of(conv.x), shape_of(conv.y)
    if not is_float(conv.x):
        raise Refused("integer operands")
    weights = kernel.array(conv.w)
    if weights is None or (digits := find_digits(weights)) is None:
        raise Refused("expected constant weights of two or three values, one of them 0 or of the other sign")
    bias = None
    if conv.bias is not None and (bias := kernel.array(conv.bias)) is None:
        raise Refused("expected a constant bias")
    problem = Problem(
        root=conv, weights=weights, size=(x[2], x[3]), out=(y[2], y[3]), group=conv.get("group"),
        strides=conv.get("strides"), pads=conv.get("pads"), dilations=conv.get("dilations"), digits=digits, bias=bias,
    )  # fmt: skip
    if min(problem.pads) < 0:
        raise Refused("negative pads")
    _ = problem.stride
    check_finish(kernel, conv, bias)
    return problem
