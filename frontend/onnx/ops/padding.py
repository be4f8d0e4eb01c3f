"""Pad in all its modes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ir.tn.movement import PadOp
from ...emitter import Emitter
from ...values import MAX_ELEMENTS, MAX_INDICES, Refusal, Value
from ..node import Node
from ..registry import imports

_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
"""ONNX mode -> numpy.pad mode; constant is tn.pad."""


@imports("Pad")
def pad(
    e: Emitter,
    node: Node,
    x: Value,
    pads: Value | None = None,
    value: Value | None = None,
    axes: Value | None = None,
) -> Value:
    """Pads and value are attributes before opset 11; negative pads cut. Other modes than constant pick elements."""
    if node.opset < 11:
        amounts, fill = node.ints("pads"), node.float("value", 0.0)
    elif pads is None:
        raise node.error("input pads is left out")
    else:
        amounts = e.integers(pads, "the pads")
        fill = 0.0 if value is None else float(e.scalar(value, "the constant value"))
    over = e.axes(e.integers(axes, "the axes"), x.rank) if axes is not None else tuple(range(x.rank))
    if len(amounts) != 2 * len(over):
        raise node.error(f"expected {2 * len(over)} pads, got {len(amounts)}")
    begins, ends = [0] * x.rank, [0] * x.rank
    for i, axis in enumerate(over):
        begins[axis], ends[axis] = amounts[i], amounts[i + len(over)]
        if begins[axis] or ends[axis]:
            e.keep_batch(x, axis)
        if max(begins[axis], ends[axis]) > MAX_ELEMENTS:
            raise node.error(f"the pads {list(amounts)} are absurd")
    return padded(e, node, x, begins, ends, node.text("mode", "constant"), fill)


def padded(
    e: Emitter, node: Node, x: Value, begins: Sequence[int], ends: Sequence[int], mode: str, fill: float
) -> Value:
    """x with a border; negative amounts are cut off first."""
    cut = [max(-b, 0) for b in begins]
    sizes = [d + min(b, 0) + min(n, 0) for d, b, n in zip(x.shape, begins, ends, strict=True)]
    if min(sizes, default=0) < 0:
        raise node.error(f"negative pads cut more than the tensor {list(x.shape)} has")
    x = e.slice(x, [c if s else 0 for c, s in zip(cut, sizes, strict=True)], sizes, (1,) * x.rank)
    begins, ends = [max(b, 0) for b in begins], [max(n, 0) for n in ends]
    e.check_size([d + b + n for d, b, n in zip(sizes, begins, ends, strict=True)])
    if mode == "constant":
        return e.op(PadOp, x, pads=(*begins, *ends), value=fill) if any((*begins, *ends)) else x
    if mode not in _MODES:
        raise Refusal(f"mode '{mode}' is not supported")
    for axis, (b, n) in enumerate(zip(begins, ends, strict=True)):
        if not (b or n):
            continue
        if x.shape[axis] + b + n > MAX_INDICES:
            raise node.error(f"the pads {b} and {n} are absurd in mode '{mode}'")
        if not x.shape[axis] or (mode == "reflect" and max(b, n) >= x.shape[axis]):
            raise node.error(f"pads of {b} and {n} do not fit axis {axis} of size {x.shape[axis]} in mode '{mode}'")
        indices = np.pad(np.arange(x.shape[axis]), (b, n), mode=_MODES[mode])  # type: ignore[call-overload]
        x = e.take(x, indices, axis, suffix=f"axis{axis}")
    return x
