"""Max-pooling of int8 planes: any window, stride, padding and dilation, in and out of any planes geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from .....ir.kn.buffers import round_up
from .....ir.kn.requests import Planes
from .....ir.tn.pool import MaxPoolOp
from .....ir.types import element_of, is_float, shape_of, storage_dtype
from ...engine import Engine, Kernel, KernelCode, Plan, Schedule, any_planes
from ...planes import PLANES_HEADER, planes_initialiser
from ...refusal import Refused
from ...target import Target
from ...text import Lines, kernel_head

NAME = "planes_pool"
HEADER = Path(__file__).with_name("planes_pool.h")


@dataclass(frozen=True)
class Pool:
    """There is nothing to choose."""

    op: MaxPoolOp
    target: Target

    @property
    def lanes(self) -> int:
        return round_up(shape_of(self.op.y)[3], self.target.vector_bytes)

    @property
    def scratch(self) -> int:
        return self.lanes * (self.op.get("kernel")[1] + shape_of(self.op.y)[2])

    @property
    def last_column(self) -> int:
        """The column of the last output's last tap."""
        op = self.op
        (_, width), (_, stride), (_, dilation) = op.get("kernel"), op.get("strides"), op.get("dilations")
        return (shape_of(op.y)[3] - 1) * stride + (width - 1) * dilation - op.get("pads")[1]

    def request(self) -> Planes:
        """Rows of padding are never read; columns are (and then masked), and must lie inside the buffer."""
        right = max(self.last_column - shape_of(self.op.x)[3] + 1, 0)
        return Planes(left=self.op.get("pads")[1], right=right, stride=self.op.get("strides")[1])

    def schedule(self) -> Schedule:
        """There is nothing to choose."""
        return {}

    def cost(self, costs: Mapping[str, float]) -> float:
        """`tap` of one vector of a row and a tap, `row` of the rest of a row."""
        _, channels, height, _ = shape_of(self.op.y)
        taps = prod(self.op.get("kernel")) * self.lanes // self.target.vector_bytes
        return channels * height * (taps * costs["tap"] + costs["row"])


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """planes_pool.h holds the algorithm."""
    if len(kernel.ops) != 1 or not isinstance(op := kernel.ops[0], MaxPoolOp):
        raise Refused("expected one max-pooling")
    shape = shape_of(op.x)
    if kernel.input_index(op.x) is None or len(kernel.inputs) != 1 or list(kernel.op.yielded) != [op.y]:
        raise Refused("expected one input and one result")
    if len(shape) != 4 or shape[0] != 1 or 0 in shape_of(op.y):
        raise Refused(f"expected a map [1, C, H, W], got {list(shape)} -> {list(shape_of(op.y))}")
    for value in (op.x, op.y):
        if is_float(value) or storage_dtype(element_of(value)) != np.int8:
            raise Refused(f"expected int8 values, got {element_of(value)}")
    pool = Pool(op, target)
    return [Plan.of(NAME, pool, target, [pool.request()], any_planes, emit_pool)]


def emit_pool(kernel: Kernel, pool: Pool) -> KernelCode:
    op, symbol, out = pool.op, kernel.symbol, Lines()
    (height, width), strides, dilations = op.get("kernel"), op.get("strides"), op.get("dilations")
    top, left, _, _ = op.get("pads")
    padded = left > 0 or pool.last_column >= shape_of(op.x)[3]
    out.add(
        f"static const struct pool_layer {symbol}_layer = {{",
        f"    .in = {planes_initialiser(kernel.inputs[0])},",
        f"    .out = {planes_initialiser(kernel.outputs[0])},",
        f"    .kernel_height = {height}, .kernel_width = {width},",
        f"    .stride_y = {strides[0]}, .stride_x = {strides[1]},",
        f"    .dilation_y = {dilations[0]}, .dilation_x = {dilations[1]},",
        f"    .pad_top = {top}, .pad_left = {left}, .padded = {int(padded)},",
        "};",
        "",
    )
    with out.block(kernel_head(symbol)):
        out.add(f"pool_max(&{symbol}_layer, task);")
    return KernelCode(out.text(), headers=(PLANES_HEADER, HEADER), scratch=pool.scratch)


ENGINE = Engine(NAME, read)
