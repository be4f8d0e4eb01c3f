"""Choices of a depthwise kernel: pixels of a register tile, rows of a block; their cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from .....ir.kn.buffers import round_up
from .....ir.types import is_float
from ...dense.problem import Conv
from ...engine import Schedule
from ...scratch import Scratch
from ...target import Target

NAME = "depthwise"
MAX_COLUMNS = 8
"""Pixels of a tile: so many sums, a weight and an input fit 16 registers, and hide how long an addition takes."""
MIN_COLUMNS = 4
CACHE_SHARE = 8
"""A block's planes and sums take this part of the L2 cache, at most."""
DEFINES = {"DEPTHWISE_COLUMNS": MAX_COLUMNS}


@dataclass(frozen=True)
class Depthwise:
    """A problem with its schedule. columns: pixels of a tile. rows: of outputs in a block. pitch: cells of a row of the
    padded input, plane_rows: its rows. scratch: its parts."""

    conv: Conv
    lanes: int
    columns: int
    rows: int
    pitch: int
    plane_rows: int
    scratch: Scratch

    @property
    def run(self) -> int:
        """Sums of one channel in a block, whole vectors."""
        return round_up(self.rows * self.conv.out[1], self.lanes)

    def schedule(self) -> Schedule:
        """columns: pixels whose sums stay in registers together. rows: of outputs in a block."""
        return {"columns": self.columns, "rows": self.rows}

    def cost(self, costs: Mapping[str, float]) -> float:
        """`input` of one vector's way into the padded input, `mac` of one vector and tap, `tile` of the rest of a tile,
        `sum` of one vector's way to the epilogue, `finish` of a vector of results, `run` of a call of the epilogue."""
        conv, floats = self.conv, is_float(self.conv.x)
        mac, finish = costs["mac" if floats else "mac_bytes"], costs["finish" if floats else "finish_bytes"]
        (height, width), taps = conv.out, prod(conv.kernel)
        blocks, bands = -(-conv.groups // self.lanes) * conv.images, -(-height // self.rows)
        inputs = round_up(min(self.plane_rows * bands, conv.size[0] * bands) * conv.size[1], self.lanes)
        tiles = height * -(-width // self.columns)
        band = round_up(self.rows * width, self.lanes) * bands
        runs = conv.groups * conv.images * bands
        cycles = tiles * (taps * self.columns * mac + costs["tile"]) + band * costs["sum"]
        finished = runs * (costs["run"] + band / bands / self.lanes * finish)
        return blocks * (inputs * costs["input"] + conv.outputs * cycles) + conv.outputs * finished + costs["kernel"]


def plan_depthwise(conv: Conv, target: Target) -> Depthwise:
    lanes, (height, width) = target.lanes(np.int32), conv.out
    columns = _columns(width)
    stride, dilation = conv.strides, conv.dilations
    pitch = (round_up(width, columns) - 1) * stride[1] + (conv.kernel[1] - 1) * dilation[1] + 1

    def plane_rows(rows: int) -> int:
        return (rows - 1) * stride[0] + (conv.kernel[0] - 1) * dilation[0] + 1

    def bytes_of(rows: int) -> int:
        return (plane_rows(rows) * pitch + 2 * rows * width) * target.vector_bytes

    rows = height
    while rows > 1 and bytes_of(rows) > target.l2 // CACHE_SHARE:
        rows = -(-rows // 2)
    run = round_up(rows * width, lanes)
    scratch = Scratch.of(
        weights=prod(conv.kernel) * target.vector_bytes,
        planes=plane_rows(rows) * pitch * target.vector_bytes,
        sums=(run + columns) * target.vector_bytes,
        turned=run * target.vector_bytes,
    )
    return Depthwise(conv, lanes, columns, rows, pitch, plane_rows(rows), scratch)


def _columns(width: int) -> int:
    """Pixels of a tile: the number that leaves the fewest over at the end of a row."""
    if width <= MAX_COLUMNS:
        return width
    return min(range(MAX_COLUMNS, MIN_COLUMNS - 1, -1), key=lambda columns: round_up(width, columns))
