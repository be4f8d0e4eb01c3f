"""Transposed convolution: a plain one with the filters turned round, of the input with zeros between its elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ir.tn.linear import ConvOp
from ...ir.tn.movement import PadOp
from ..emitter import Emitter
from ..values import Refusal, Value


def transposed_convolution(
    e: Emitter,
    x: Value,
    w: Value,
    bias: Value | None,
    *,
    group: int,
    strides: Sequence[int],
    dilations: Sequence[int],
    begins: Sequence[int],
    ends: Sequence[int],
    extra: Sequence[int],
) -> Value:
    """x [N, C, *S], w [C, O / group, *K], bias [O]; 1-D and 2-D, begins, ends: what padding cuts off the result at each
    side of a spatial axis. extra: sizes added at the ends. Raises ModelError where nothing is left."""
    borders = _borders(e, x.shape[2:], w.shape[2:], strides, dilations, begins, ends, extra)
    x = _spread(e, x, strides, borders)
    pads = [max(border, 0) for border in borders]
    operands = [x, _turned(e, w, group), *([] if bias is None else [bias])]
    return e.op(ConvOp, *operands, group=group, strides=(1,) * len(strides), dilations=dilations, pads=pads)


def whole_size(
    size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], extra: Sequence[int]
) -> list[int]:
    """The spatial sizes of the result before padding cuts off of it."""
    axes = zip(size, kernel, strides, dilations, extra, strict=True)
    return [(n - 1) * s + more + d * (k - 1) + 1 for n, k, s, d, more in axes]


def _borders(
    e: Emitter,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    begins: Sequence[int],
    ends: Sequence[int],
    extra: Sequence[int],
) -> list[int]:
    """Zeros around the spread input (begins, then ends), which has strides - 1 of them at its end already; negative
    where elements are cut off."""
    spans = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    whole = whole_size(size, kernel, strides, dilations, extra)
    if any(n - b - c < 1 for n, b, c in zip(whole, begins, ends, strict=True)) or 0 in size:
        raise e.node.error(f"nothing is left of the result, whose size is {whole} before padding")
    return [
        *(span - b for span, b in zip(spans, begins, strict=True)),
        *(
            span - c + more - (s - 1)
            for span, c, more, s in zip(spans, ends, extra, strides, strict=True)
        ),
    ]  # fmt: skip


def _spread(e: Emitter, x: Value, strides: Sequence[int], borders: Sequence[int]) -> Value:
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
