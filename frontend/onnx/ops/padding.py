"""Pad in all its modes."""

from __future__ import annotations

from ...emitter import Emitter
from ...forms.movement import padded
from ...values import MAX_ELEMENTS, Value
from ..node import Node
from ..registry import imports


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
    return padded(e, x, begins, ends, node.text("mode", "constant"), fill)
