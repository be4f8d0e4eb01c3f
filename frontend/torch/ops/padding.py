"""Borders."""

from __future__ import annotations

from collections.abc import Sequence

from ...emitter import Emitter
from ...forms.movement import padded
from ...values import MAX_ELEMENTS, Refusal, Value
from ..node import TorchNode
from ..registry import imports
from ._arguments import Number

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@imports("pad")
def pad(
    e: Emitter, node: TorchNode, x: Value, pads: Sequence[int], mode: str = "constant", value: Number | None = None
) -> Value:
    """pads: begin and end of the last axis, then of the one before, ..; negative ones cut."""
    if mode not in MODES:
        raise Refusal(f"mode '{mode}' is not supported")
    if len(pads) % 2 or len(pads) > 2 * x.rank or max(map(abs, pads), default=0) > MAX_ELEMENTS:
        raise node.error(f"the pads {list(pads)} do not fit a tensor of rank {x.rank}")
    begins, ends = [0] * x.rank, [0] * x.rank
    for i in range(len(pads) // 2):
        begins[-1 - i], ends[-1 - i] = pads[2 * i], pads[2 * i + 1]
        if begins[-1 - i] or ends[-1 - i]:
            e.keep_batch(x, x.rank - 1 - i)
    return padded(e, x, begins, ends, MODES[mode], float(value or 0))


@imports("constant_pad_nd")
def constant_pad(e: Emitter, node: TorchNode, x: Value, pads: Sequence[int], value: Number = 0) -> Value:
    return pad(e, node, x, pads, "constant", value)


@imports("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def mirrored_pad(e: Emitter, node: TorchNode, x: Value, pads: Sequence[int]) -> Value:
    return pad(e, node, x, pads, "reflect" if node.op_type.startswith("reflection") else "replicate")
