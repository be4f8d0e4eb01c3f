"""Maps as rows of pixels without ends: a vector of output pixels reads, for each tap, a vector that begins elsewhere.

A map [C, H, W] is padded to rows of one pitch. Output pixel (i, j) of a convolution is number i * pitch + j, and its
tap (y, x) lies y * pitch + x behind, whatever the pixel: so vectors run over row ends, and what they compute there is
left out afterwards. For a stride s the map is cut into s * s maps, of every s-th row and column each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ....ir.tn.linear import ConvOp
from ....ir.types import shape_of
from ..package import Scalar, Tensor, te, tirx


@dataclass(frozen=True)
class Flat:
    """stride: of rows and columns. top, left: padding. rows, pitch: of each of the stride's maps, padded, with what the
    last vector reads behind its end. outputs: pixels that are computed, a multiple of the tile. kernel, dilations: of
    rows and columns."""

    stride: int
    top: int
    left: int
    rows: int
    pitch: int
    outputs: int
    kernel: tuple[int, int]
    dilations: tuple[int, int]

    @property
    def size(self) -> int:
        """Pixels of each of the stride's maps, whole vectors of them."""
        return self.rows * self.pitch

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def place(self, tap: Any) -> tuple[Any, Any]:
        """The map that a tap lies in, and how far behind the pixel. tap: a number, or an expression of TVM."""
        y, x = tap // self.kernel[1] * self.dilations[0], tap % self.kernel[1] * self.dilations[1]
        s = self.stride
        return y % s * s + x % s, y // s * self.pitch + x // s


def lies_flat(op: ConvOp) -> bool:
    """Whether a convolution can read its map so: one sample, two spatial axes, one stride."""
    return len(shape_of(op.x)) == 4 and shape_of(op.x)[0] == 1 and len(set(op.get("strides"))) == 1


def flat_of(op: ConvOp, tile: int, lanes: int = 1) -> Flat:
    """How a convolution that lies flat reads its map, in tiles of so many pixels and vectors of so many lanes."""
    (s, _), (top, left, *_), (down, right) = op.get("strides"), op.get("pads"), op.get("dilations")
    (height, width), (out_height, out_width) = shape_of(op.x)[2:], shape_of(op.y)[2:]
    kernel_height, kernel_width = shape_of(op.w)[2:]
    rows = max(top + height, (out_height - 1) * s + (kernel_height - 1) * down + 1)
    columns = max(left + width, (out_width - 1) * s + (kernel_width - 1) * right + 1)
    rows, pitch = -(-rows // s), -(-columns // s)
    outputs = -(-out_height * pitch // tile) * tile
    behind = (kernel_height - 1) * down // s * pitch + (kernel_width - 1) * right // s
    rows = max(rows, -(-(outputs + behind) // pitch))
    rows = next(n for n in range(rows, rows + lanes) if n * pitch % lanes == 0)
    return Flat(s, top, left, rows, pitch, outputs, (kernel_height, kernel_width), (down, right))


Source = Callable[[Scalar], tuple[Scalar, Scalar]]
"""Of a channel, that of the map, and whether it has one."""


def padded(x: Tensor, flat: Flat, channels: int, source: Source, dtype: str) -> Tensor:
    """A map [1, C, H, W] with zeros around, [channels, maps of the stride, rows, pitch]."""
    _, _, height, width = (int(size) for size in x.shape)
    s = flat.stride

    def element(c: Scalar, phase: Scalar, row: Scalar, column: Scalar) -> Scalar:
        at, there = source(c)
        h, w = row * s + phase // s - flat.top, column * s + phase % s - flat.left
        inside = [there, h >= 0, h < height, w >= 0, w < width]
        return tirx.if_then_else(tirx.all(*inside), x(0, at, h, w).astype(dtype), tirx.const(0, dtype))

    return te.compute((channels, s * s, flat.rows, flat.pitch), element, name="padded")


def zeros_apart(schedule: Any) -> None:
    """Writes the zeros of the block `padded` before its pixels, which then are copied without a question each."""
    block = schedule.get_sblock("padded")
    outermost = schedule.get_loops(block)[0]
    if schedule.can_decompose_padding(block, outermost):  # not where nothing is padded
        schedule.decompose_padding(block, outermost)


def cropped(sums: Tensor, flat: Flat, op: ConvOp) -> Tensor:
    """The result of a convolution from its sums [outputs, pixels], without those at row ends."""
    return te.compute(shape_of(op.y), lambda n, o, i, j: sums(o, i * flat.pitch + j))
