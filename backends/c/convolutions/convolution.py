"""A convolution of one map in planes: its shape, the border it needs, and where its filter taps lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....ir.kn.layout import PlanesLayout
from ....ir.kn.requests import LayoutRequest, Planes
from ....ir.tn.linear import ConvOp
from ....ir.types import shape_of
from ..engine import Constants, Kernel
from ..epilogue import Epilogue, Grid, check_epilogue, epilogue_reads
from ..refusal import Refused


@dataclass(frozen=True)
class Convolution:
    """x [C, H, W] * weights [O, C / group, kh, kw] -> [O, OH, OW].

    pads: top, left, bottom, right; the effective ones may be smaller.
    """

    root: ConvOp
    weights: np.ndarray
    size: tuple[int, int]
    out: tuple[int, int]
    group: int
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

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
        _, _, rows, columns = self.weights.shape
        return [
            layout.place(ky * self.dilations[0] - self.pads[0], kx * self.dilations[1] - self.pads[1])
            for ky in range(rows)
            for kx in range(columns)
        ]


def finish_function(
    kernel: Kernel, root: ConvOp, bias: np.ndarray | None, longest: int, constants: Constants
) -> tuple[str, list[str]]:
    """C of `SYMBOL_finish` for runs of up to `longest` pixels, and of the statements that clear borders. bias: [O].

    Raises Refused where the operations after the convolution are more than an epilogue.
    """
    epilogue = Epilogue(kernel, root, Grid(shape_of(root.y), 2), longest)
    return epilogue.build(None if bias is None else bias.reshape(-1, 1, 1), constants), epilogue.clears()


def check_finish(kernel: Kernel, root: ConvOp, bias: np.ndarray | None) -> None:
    """Raises Refused where `finish_function` would."""
    check_epilogue(kernel, root, Grid(shape_of(root.y), 2), None if bias is None else bias.reshape(-1, 1, 1))


def epilogue_requests(kernel: Kernel, problem: Convolution, x: LayoutRequest | None = None) -> list[LayoutRequest]:
    """The layouts that a kernel with an epilogue wants of its operands. x: that of its input (`problem.request()`)."""
    return epilogue_reads(kernel, problem.root.x, x or problem.request(), Grid(shape_of(problem.root.y), 2))


def find_convolution(kernel: Kernel) -> ConvOp:
    """The convolution of one map that a kernel begins with. Raises Refused for other kernels."""
    conv = next((op for op in kernel.ops if isinstance(op, ConvOp)), None)
    if conv is None or kernel.input_index(conv.x) != 0:
        raise Refused("expected a convolution of the first operand")
    x, y = shape_of(conv.x), shape_of(conv.y)
    if len(x) != 4 or x[0] != 1 or 0 in y:
        raise Refused(f"expected a map [1, C, H, W], got {list(x)} -> {list(y)}")
    return conv
