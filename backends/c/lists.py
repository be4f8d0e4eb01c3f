"""Weights as lists, which runtime/c/tercet_forms.c makes at load: the inputs that a filter adds and subtracts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lists:
    """How digits become lists of 16-bit numbers.

    length: digits of a filter: 1 is listed in its first list, 2 in its second. Digit i is listed as
    i // run * pitch + i % run * step. Lists are padded to whole blocks with a number after all others,
    length // run * pitch.

    The kernel reads a uint32 for each filter, where it begins, counted in 16-bit numbers from the first byte on; then
    the filters: the blocks of either list, and the two lists.
    """

    length: int
    run: int
    pitch: int
    step: int
    block: int

    @property
    def filling(self) -> int:
        return self.length // self.run * self.pitch

    def sizes(self, digits: np.ndarray) -> np.ndarray:
        """Blocks of each list: int64 [filters, 2]."""
        filters = digits.reshape(-1, self.length)
        return np.stack([-(-(filters == digit).sum(axis=1) // self.block) for digit in (1, 2)], axis=1)

    def bytes(self, digits: np.ndarray) -> int:
        sizes = self.sizes(digits)
        return 8 * len(sizes) + 2 * self.block * int(sizes.sum())

    def expanded(self, digits: np.ndarray) -> np.ndarray:
        """What the kernel reads: uint16."""
        sizes, place = self.sizes(digits), np.arange(self.length)
        numbers = place // self.run * self.pitch + place % self.run * self.step
        parts, starts, at = list[np.ndarray](), list[int](), 2 * len(sizes)
        for filter_, blocks in zip(digits.reshape(-1, self.length), sizes, strict=True):
            starts.append(at)
            parts.append(blocks)
            for digit, count in zip((1, 2), blocks, strict=True):
                listed = numbers[filter_ == digit]
                parts.append(np.pad(listed, (0, count * self.block - len(listed)), constant_values=self.filling))
            at += 2 + int(blocks.sum()) * self.block
        heads = np.array(starts, np.uint32).view(np.uint16)
        return np.concatenate([heads, *(part.astype(np.uint16) for part in parts)])
