"""Region shapes: blocks of output channels by input channels that share a sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ir.errors import InputError


@dataclass(frozen=True)
class RegionShape:
    """outputs, channels: how many consecutive output and input channels a region spans; None: all of them. All taps
    of a window belong to their channel. In a grouped convolution the input channels are those of a group.

    A filter is 1 x all, a tile of a filter 1 x k; a linear layer's row block is r x all, its column block all x k.
    """

    outputs: int | None = 1
    channels: int | None = None

    @property
    def text(self) -> str:
        return "x".join("all" if size is None else str(size) for size in (self.outputs, self.channels))

    def index(self, outputs: int, channels: int, taps: int) -> np.ndarray:
        """The number of the region of every weight, int64 [outputs, channels * taps]; from 0, without gaps."""
        rows = np.arange(outputs) // (self.outputs or max(outputs, 1))
        columns = np.arange(channels) // (self.channels or max(channels, 1))
        across = int(columns.max(initial=0)) + 1
        return np.repeat(rows[:, None] * across + columns[None], taps, axis=1)


FILTER = RegionShape()


def parse_regions(text: str) -> RegionShape:
    """`filter`, or OUTPUTSxCHANNELS with a number or `all` each: `1x16`, `4xall`, `allx8`. Raises InputError."""
    if text == "filter":
        return FILTER
    parts = text.split("x")
    sizes = [None if part == "all" else int(part) if part.isascii() and part.isdigit() else 0 for part in parts]
    if len(sizes) != 2 or 0 in sizes:
        hint = "`filter`, or output by input channels: 1x16, 4xall, allx8"
        raise InputError(f"'{text}' is not a shape of signed-binary regions", hint=hint)
    return RegionShape(sizes[0], sizes[1])
