"""Transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence

from ...emitter import Emitter
from ...forms.transposed import transposed_convolution, whole_size
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports
from ._window import Window, window


@imports("ConvTranspose")
def conv_transpose(e: Emitter, node: Node, x: Value, w: Value, bias: Value | None = None) -> Value:
    """x [N, C, *S], w [C, O / group, *K], bias [O]; 1-D and 2-D."""
    if not x.is_float:
        raise Refusal(f"ConvTranspose of {x.dtype.name} tensors is not supported")
    if x.rank not in (3, 4):
        raise Refusal(f"convolution of a tensor of rank {x.rank} is not supported, only 1-D and 2-D")
    if w.rank != x.rank or w.shape[0] != x.shape[1]:
        raise node.error(f"the weight has the shape {list(w.shape)}, expected [{x.shape[1]}, ..] of rank {x.rank}")
    kernel = node.ints("kernel_shape", w.shape[2:])
    if kernel != w.shape[2:]:
        raise node.error(f"attribute 'kernel_shape' is {list(kernel)}, but the weight has {list(w.shape[2:])}")
    group = node.int("group", 1)
    if group < 1 or w.shape[0] % group:
        raise node.error(f"attribute 'group': expected a divisor of {w.shape[0]} channels, got {group}")
    frame = window(node, x.shape[2:], kernel)
    extra = node.ints("output_padding", (0,) * len(kernel))
    if len(extra) != len(kernel) or min(extra, default=0) < 0:
        raise node.error(f"attribute 'output_padding': expected {len(kernel)} integers of 0 or more, got {list(extra)}")
    begins, ends = _cut(
        node, x.shape[2:], frame, whole_size(x.shape[2:], kernel, frame.strides, frame.dilations, extra)
    )
    return transposed_convolution(
        e, x, w, bias, group=group, strides=frame.strides, dilations=frame.dilations, begins=begins, ends=ends,
        extra=extra,
    )  # fmt: skip


def _cut(node: Node, size: Sequence[int], frame: Window, whole: Sequence[int]) -> tuple[list[int], list[int]]:
    """What the padding of the node cuts off the whole result, at the begins and at the ends."""
    rank, auto = len(size), node.text("auto_pad", "NOTSET")
    wanted = node.ints("output_shape", ())
    if wanted and len(wanted) not in (rank, rank + 2):
        raise node.error(f"attribute 'output_shape': expected {rank} sizes, got {list(wanted)}")
    if wanted:
        target = list(wanted[-rank:])
    elif auto.startswith("SAME"):
        target = [n * s for n, s in zip(size, frame.strides, strict=True)]
    else:
        return list(frame.pads[:rank]), list(frame.pads[rank:])
    totals = [n - t for n, t in zip(whole, target, strict=True)]
    if not wanted:
        totals = [max(t, 0) for t in totals]
    small = [max(t, 0) // 2 for t in totals]
    large = [max(t, 0) - s for t, s in zip(totals, small, strict=True)]
    begins = small if auto == "SAME_UPPER" else large
    return begins, [t - b for t, b in zip(totals, begins, strict=True)]
