"""The layout of few-valued maps in bits: the channels of a pixel side by side in 64-bit words."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import IntAttr
from xdsl.ir import Attribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

from ..types import Element, element_of, shape_of, storage_dtype, values_of
from .fields import IntFields
from .requests import Bits, LayoutRequest

WORD = 64
"""Channels of a word."""


def planes_in_bits(element: Element) -> int:
    """How many bits hold a value: 1 of at most two values, 2 of {-1, 0, 1}; 0 for all others, which have no bits.

    One bit says whether a value is the larger one. Two say whether it is not zero, and whether it is negative.
    """
    if storage_dtype(element).kind == "f" or storage_dtype(element).itemsize > 1:
        return 0
    values = values_of(element)
    return 1 if len(values) <= 2 else 2 if values == (-1, 0, 1) else 0


@irdl_attr_definition
class BitsLayout(IntFields):
    """Every pixel, that is every index of the axes other than `axis` in row-major order, is a run of 64-bit words.

    The channels along `axis` are split into `groups` of equal size, each padded to whole words. With W words a group
    and P = planes_in_bits(element), bit p of channel c of group g of a pixel is bit c % 64 (the lowest is 0) of word
        ((pixel * groups + g) * W + c // 64) * P + p.
    Padding bits are 0. Text: `#kn.bits<axis = 1, groups = 1>`.
    """

    name = "kn.bits"
    axis: IntAttr
    groups: IntAttr

    FIELDS: ClassVar = ("axis", "groups")
    WORDS: ClassVar = "bits"

    @classmethod
    def of(cls, axis: int, groups: int = 1) -> BitsLayout:
        return cls(IntAttr(axis), IntAttr(groups))

    def verify(self) -> None:
        if self.field("axis") < 0 or self.field("groups") < 1:
            raise VerifyException("#kn.bits: expected axis >= 0 and groups >= 1")

    def check(self, tensor: Attribute) -> None:
        """Raises VerifyException for a tensor that does not fit the layout."""
        shape, axis, groups = shape_of(tensor), self.field("axis"), self.field("groups")
        if axis >= len(shape) or shape[axis] % groups:
            raise VerifyException(f"{list(shape)} does not fit into {self}")
        if not planes_in_bits(element_of(tensor)):
            raise VerifyException(f"{self}: expected two values or -1, 0 and 1, got {element_of(tensor)}")

    def satisfies(self, request: LayoutRequest, tensor: Attribute) -> bool:
        """Whether a tensor in this layout can be read by who asks so."""
        return isinstance(request, Bits) and self == BitsLayout.of(request.axis, request.groups)

    def words(self) -> str:
        return f"bits of axis {self.field('axis')}, {self.field('groups')} groups"

    def dtype(self, tensor: Attribute) -> np.dtype:
        return np.dtype(np.uint64)

    def elements(self, tensor: Attribute) -> int:
        """Words of a tensor."""
        return self.pixels(tensor) * self.pixel_words(tensor)

    def pixels(self, tensor: Attribute) -> int:
        shape, axis = shape_of(tensor), self.field("axis")
        return prod(shape[:axis]) * prod(shape[axis + 1 :])

    def group_words(self, tensor: Attribute) -> int:
        """Words of one plane of one group of a pixel."""
        return -(-shape_of(tensor)[self.field("axis")] // self.field("groups") // WORD)

    def pixel_words(self, tensor: Attribute) -> int:
        """Words from one pixel to the next."""
        return self.field("groups") * self.group_words(tensor) * planes_in_bits(element_of(tensor))

    def pack(self, array: np.ndarray, tensor: Attribute) -> np.ndarray:
        """The tensor's values as words: uint64 [pixels * pixel_words]."""
        values, planes = values_of(element_of(tensor)), planes_in_bits(element_of(tensor))
        moved = np.moveaxis(array, self.field("axis"), -1).reshape(self.pixels(tensor), self.field("groups"), -1)
        ones = [moved == values[-1]] if planes == 1 else [moved != 0, moved < 0]
        if len(values) == 1:
            ones = [np.zeros_like(moved, np.bool_)]
        words = self.group_words(tensor)
        filled = np.zeros((planes, *moved.shape[:2], words * WORD), np.bool_)
        filled[..., : moved.shape[2]] = ones
        packed = np.packbits(filled, axis=-1, bitorder="little").view("<u8")
        return np.ascontiguousarray(np.moveaxis(packed, 0, -1)).reshape(-1)

    def unpack(self, buffer: np.ndarray, tensor: Attribute) -> np.ndarray:
        """The inverse of `pack`."""
        shape, axis, element = shape_of(tensor), self.field("axis"), element_of(tensor)
        values, planes = values_of(element), planes_in_bits(element)
        shaped = (self.pixels(tensor), self.field("groups"), self.group_words(tensor), planes)
        words = buffer.view(np.uint64).reshape(shaped)
        split = np.ascontiguousarray(np.moveaxis(words, -1, 0)).astype("<u8").view(np.uint8)
        bits = np.unpackbits(split, axis=-1, bitorder="little")
        bits = bits[..., : shape[axis] // self.field("groups")].astype(np.int64)
        found = np.where(bits[0], values[-1], values[0]) if planes == 1 else bits[0] * (1 - 2 * bits[1])
        moved = (*shape[:axis], *shape[axis + 1 :], shape[axis])
        return np.moveaxis(found.reshape(moved), -1, axis).astype(storage_dtype(element))
