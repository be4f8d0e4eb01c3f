"""Transposed convolution: a plain one with the filters turned round, of the input with zeros between its elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ir.tn.linear import ConvOp
from ....ir.tn.movement import PadOp
from ...emitter import Emitter
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
    borders = _borders(node, x.shape[2:], frame)
    x = _spread(e, node, x, frame.strides, borders)
    pads = [max(border, 0) for border in borders]
    operands = [x, _turned(e, w, group), *([] if bias is None else [bias])]
    ones = (1,) * len(kernel)
    return e.op(ConvOp, *operands, group=group, strides=ones, dilations=frame.dilations, pads=pads)


def _borders(node: Node, size: Sequence[int], frame: Window) -> list[int]:
    """Zeros around the spread input (begins, then ends), which has strides - 1 of them at its end already; negative
    where elements are cut off."""
    rank = len(size)
    spans = [d * (k - 1) for k, d in zip(frame.kernel, frame.dilations, strict=True)]
    extra = node.ints("output_padding", (0,) * rank)
    if len(extra) != rank or min(extra, default=0) < 0:
        raise node.error(f"attribute 'output_padding': expected {rank} integers of 0 or more, got {list(extra)}")
    whole = [(n - 1) * s + more + span + 1 for n, s, more, span in zip(size, frame.strides, extra, spans, strict=True)]
    begins, ends = _cut(node, size, frame, whole)
    if any(n - b - c < 1 for n, b, c in zip(whole, begins, ends, strict=True)) or 0 in size:
        raise node.error(f"nothing is left of the result, whose size is {whole} before padding")
    return [
        *(span - b for span, b in zip(spans, begins, strict=True)),
        *(
            span - c + more - (s - 1)
            for span, c, more, s in zip(spans, ends, extra, frame.strides, strict=True)
        ),
    ]  # fmt: skip


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


def _spread(e: Emitter, node: Node, x: Value, strides: Sequence[int], borders: Sequence[int]) -> Value:
    """x with strides - 1 zeros after each element, without what negative borders cut off."""
    rank, lead = len(strides), x.shape[:2]
    if max(strides) > 1:
        apart = [part for n in x.shape[2:] for part in (n, 1)]
        ends = [part for s in strides for part in (0, s - 1)]
        x = e.reshape(x, (*lead, *apart))
        e.check_size([d + end for d, end in zip(x.shape, (0, 0, *ends), strict=True)])
        x = e.op(PadOp, x, pads=(*(0,) * x.rank, 0, 0, *ends), value=0.0)
        x = e.reshape(x, (*lead, *(x.shape[2 + 2 * i] * s for i, s in enumerate(strides))))
    starts = [max(-border, 0) for border in borders[:rank]]
    stops = [n - max(-border, 0) for n, border in zip(x.shape[2:], borders[rank:], strict=True)]
    sizes = [max(stop - start, 0) for start, stop in zip(starts, stops, strict=True)]
    if 0 in sizes:
        raise Refusal("a padding that leaves nothing of the input is not supported")
    return e.slice(x, (0, 0, *starts), (*lead, *sizes), (1,) * x.rank)


def _turned(e: Emitter, w: Value, group: int) -> Value:
    """[C, O / group, *K] -> [O, C / group, *K], each filter from its last tap to its first."""
    (inputs, outputs), kernel = w.shape[:2], w.shape[2:]
    if w.array is not None:
        parts = w.array.reshape(group, inputs // group, outputs, *kernel).swapaxes(1, 2)
        turned = np.flip(parts.reshape(group * outputs, inputs // group, *kernel), tuple(range(2, w.rank)))
        return Value.constant(f"{w.name}.turned", np.ascontiguousarray(turned))
    if group == 1:
        w = e.transpose(w, (1, 0, *range(2, w.rank)))
    else:
        w = e.reshape(w, (group, inputs // group, outputs, *kernel))
        w = e.transpose(w, (0, 2, 1, *range(3, w.rank)))
        w = e.reshape(w, (group * outputs, inputs // group, *kernel))
    starts, steps = [k - 1 for k in kernel], [-1 if k > 1 else 1 for k in kernel]
    return e.slice(w, (0, 0, *starts), w.shape, (1, 1, *steps))
