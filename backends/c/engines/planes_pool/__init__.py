"""Max-pooling of int8 planes: any window, stride, padding and dilation, in and out of any planes geometry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .....ir.kn.layout import round_up
from .....ir.tn.pool import MaxPoolOp
from .....ir.types import element_of, is_float, shape_of, storage_dtype
from ...engine import Cost, Kernel, KernelCode, LayoutRequest, Planes, Schedule
from ...planes import PLANES_HEADER, planes_initialiser
from ...target import Target
from ...text import Lines

HEADER = Path(__file__).with_name("planes_pool.h")


class PlanesPoolEngine:
    """The protocol of backends/c/engine.py; planes_pool.h holds the algorithm."""

    name = "planes_pool"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        if len(kernel.ops) != 1 or not isinstance(op := kernel.ops[0], MaxPoolOp):
            return "want one max-pooling"
        shape = shape_of(op.x)
        if kernel.input_index(op.x) is None or len(kernel.inputs) != 1 or list(kernel.op.yielded) != [op.y]:
            return "want one input and one result"
        if len(shape) != 4 or shape[0] != 1 or 0 in shape_of(op.y):
            return f"want a map [1, C, H, W], have {list(shape)} -> {list(shape_of(op.y))}"
        for value in (op.x, op.y):
            if is_float(value) or storage_dtype(element_of(value)) != np.int8:
                return f"want int8 values, have {element_of(value)}"
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [{}]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        """`tap` of one vector of a row and a tap, `row` of the rest of a row."""
        op, costs = _pool(kernel), target.costs["planes_pool"]
        _, channels, height, _ = shape_of(op.y)
        taps = int(np.prod(op.get("kernel"))) * self._lanes(op, target) // target.vector_bytes
        return Cost(channels * height * (taps * costs["tap"] + costs["row"]), scratch=self._scratch(op, target))

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        op = _pool(kernel)
        # rows of padding are never read; columns are (and then masked), and must lie inside the buffer
        right = max(_last_column(op) - shape_of(op.x)[3] + 1, 0)
        return [Planes(left=op.get("pads")[1], right=right, stride=op.get("strides")[1])]

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return True

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        op, symbol, out = _pool(kernel), kernel.symbol, Lines()
        (height, width), strides, dilations = op.get("kernel"), op.get("strides"), op.get("dilations")
        top, left, _, _ = op.get("pads")
        padded = left > 0 or _last_column(op) >= shape_of(op.x)[3]
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
        with out.block(f"void {symbol}(const struct tercet_task *task)"):
            out.add(f"pool_max(&{symbol}_layer, task);")
        return KernelCode(out.text(), headers=(PLANES_HEADER, HEADER), scratch=self._scratch(op, target))

    def _lanes(self, op: MaxPoolOp, target: Target) -> int:
        return round_up(shape_of(op.y)[3], target.vector_bytes)

    def _scratch(self, op: MaxPoolOp, target: Target) -> int:
        return self._lanes(op, target) * (op.get("kernel")[1] + shape_of(op.y)[2])


def _pool(kernel: Kernel) -> MaxPoolOp:
    (op,) = kernel.ops
    assert isinstance(op, MaxPoolOp)
    return op


def _last_column(op: MaxPoolOp) -> int:
    """The column of the last output's last tap."""
    (_, width), (_, stride), (_, dilation) = op.get("kernel"), op.get("strides"), op.get("dilations")
    return (shape_of(op.y)[3] - 1) * stride + (width - 1) * dilation - op.get("pads")[1]


ENGINE = PlanesPoolEngine()
