"""Where the parts of a kernel's scratch memory lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...ir.kn.buffers import ALIGNMENT, round_up


@dataclass(frozen=True)
class Scratch:
    """Parts one after the other, each aligned. sizes, offsets: in bytes, by name; bytes: of all."""

    sizes: Mapping[str, int]
    offsets: Mapping[str, int]
    bytes: int

    @classmethod
    def of(cls, **sizes: int) -> Scratch:
        offsets, at = dict[str, int](), 0
        for name, size in sizes.items():
            offsets[name] = at
            at = round_up(at + size, ALIGNMENT)
        return cls(sizes, offsets, at)

    @property
    def places(self) -> list[int]:
        """The offsets, and the bytes of all."""
        return [*self.offsets.values(), self.bytes]

    def fields(self) -> list[str]:
        """Initialisers of a struct that has an offset for each part; none of empty ones."""
        return [f"    .{name} = {at}," for name, at in self.offsets.items() if self.sizes[name]]
