"""What a kernel asks of the layout of a map that it reads. Which layouts serve which request: layout.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Dense:
    """The map as a dense row-major tensor."""


@dataclass(frozen=True)
class Planes:
    """The map [1, C, H, W] as channel planes with at least this border around the pixels, zeros where `zero`."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    stride: int = 1
    zero: bool = False


@dataclass(frozen=True)
class Bits:
    """The tensor with the channels along `axis` in bits (#kn.bits), in so many groups."""

    axis: int
    groups: int = 1


@dataclass(frozen=True)
class BitRows:
    """The map [1, C, H, W] in rows of bits (#kn.bit_rows)."""


@dataclass(frozen=True)
class AnyLayout:
    """The map [1, C, H, W], dense or in planes, read pixel by pixel and never beyond the last."""


LayoutRequest: TypeAlias = Dense | Planes | Bits | BitRows | AnyLayout
