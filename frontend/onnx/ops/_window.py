"""Sliding windows of convolutions and pools: kernel, strides, dilations and pads from attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...forms.window import with_overhang
from ...values import Refusal
from ..node import Node


@dataclass(frozen=True)
class Window:
    """pads: what the program pads, begins then ends; given: the pads of the model, which ceil_mode may exceed."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    given: tuple[int, ...]

    @property
    def attributes(self) -> dict[str, Any]:
        """What tn.conv and the pools share."""
        return {"strides": self.strides, "dilations": self.dilations, "pads": self.pads}


def window(node: Node, size: Sequence[int], kernel: Sequence[int], *, ceil_mode: bool = False) -> Window:
    """The window of a node over spatial axes of `size`.

    ceil_mode: the last, partial window counts if it starts inside the input or its begin pad (ONNX opset 19 words it).
    Raises ModelError for lists of the wrong length and values below their minimum, Refusal for negative pads.
    """
    rank = len(size)
    _check(node, "kernel_shape", kernel, rank, least=1)
    strides = node.ints("strides", (1,) * rank)
    _check(node, "strides", strides, rank, least=1)
    dilations = node.ints("dilations", (1,) * rank)
    _check(node, "dilations", dilations, rank, least=1)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    auto = node.text("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = node.ints("pads", (0,) * 2 * rank)
    elif auto == "VALID":
        pads = (0,) * 2 * rank
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(size, strides, spans, strict=True)]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = (*small, *large) if auto == "SAME_UPPER" else (*large, *small)
    else:
        raise node.error(f"attribute 'auto_pad' has the unknown value '{auto}'")
    if any(p < 0 for p in pads):
        raise Refusal("negative pads are not supported")
    _check(node, "pads", pads, 2 * rank, least=0)
    wide = with_overhang(size, spans, strides, pads) if ceil_mode else tuple(pads)
    return Window(tuple(kernel), strides, dilations, wide, tuple(pads))


def _check(node: Node, name: str, values: Sequence[int], count: int, *, least: int) -> None:
    if max(values, default=0) >= 2**31:
        raise node.error(f"attribute '{name}': expected {count} integers below 2^31, got {list(values)}")
    if len(values) != count or min(values, default=least) < least:
        raise node.error(f"attribute '{name}': expected {count} integers of {least} or more, got {list(values)}")
