"""The layout of few-valued maps in rows of bits: one plane for each channel and bit of a value, eight pixels a byte."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import IntAttr
from xdsl.ir import Attribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

from ..types import Element, element_of, shape_of, storage_dtype, values_of
from .buffers import ALIGNMENT
from .fields import IntFields
from .requests import BitRows, LayoutRequest


def row_bits(element: Element) -> int:
    """How many bits hold a value: one less than there are values of {-1, 0, 1}; 0 for all others.

    Bit p says whether a value is at least the largest (p = 0), or the middle one of three (p = 1).
    """
    if storage_dtype(element).kind == "f":
        return 0
    values = values_of(element)
    return len(values) - 1 if values and values[0] >= -1 and values[-1] <= 1 else 0


@irdl_attr_definition
class BitRowsLayout(IntFields):
    """Planes of `size` bytes of a map [1, C, H, W], one for each channel and bit of a value; rows of `pitch` bytes.

    With P = row_bits(element), bit p of pixel (c, y, x) is bit x % 8 (the lowest is 0) of byte
        (c * P + p) * size + y * pitch + x // 8.
    All other bits are unspecified. Text: `#kn.bit_rows<pitch = 7, size = 448>`.
    """

    name = "kn.bit_rows"
    pitch: IntAttr
    size: IntAttr

    FIELDS: ClassVar = ("pitch", "size")
    WORDS: ClassVar = "bits"

    @staticmethod
    def takes(tensor: Attribute) -> bool:
        """Whether a tensor may lie in rows: a map [1, C, H, W] of two or three values of -1, 0 and 1, not empty."""
        shape = shape_of(tensor)
        return len(shape) == 4 and shape[0] == 1 and 0 not in shape and bool(row_bits(element_of(tensor)))

    @classmethod
    def of(cls, tensor: Attribute) -> BitRowsLayout:
        """The smallest layout that holds a tensor that may lie in rows."""
        _, _, height, width = shape_of(tensor)
        pitch = -(-width // 8)
        return cls(IntAttr(pitch), IntAttr(-(-height * pitch // ALIGNMENT) * ALIGNMENT))

    def verify(self) -> None:
        if self.field("pitch") < 1 or self.field("size") < 1 or self.field("size") % ALIGNMENT:
            raise VerifyException(f"#kn.bit_rows: expected a pitch >= 1 and a size that is a multiple of {ALIGNMENT}")

    def check(self, tensor: Attribute) -> None:
        """Raises VerifyException for a tensor that does not fit the layout."""
        shape = shape_of(tensor)
        if len(shape) != 4 or shape[0] != 1:
            raise VerifyException(f"{self}: expected a map [1, C, H, W], got {list(shape)}")
        if shape[3] > 8 * self.field("pitch") or shape[2] * self.field("pitch") > self.field("size"):
            raise VerifyException(f"{list(shape)} does not fit into {self}")
        if not row_bits(element_of(tensor)):
            raise VerifyException(f"{self}: expected two or three values of -1, 0 and 1, got {element_of(tensor)}")

    def satisfies(self, request: LayoutRequest, tensor: Attribute) -> bool:
        """Whether a tensor in this layout can be read by who asks so."""
        return isinstance(request, BitRows) and self == BitRowsLayout.of(tensor)

    def words(self) -> str:
        return f"rows of bits (pitch {self.field('pitch')}, size {self.field('size')})"

    def dtype(self, tensor: Attribute) -> np.dtype:
        return np.dtype(np.uint8)

    def elements(self, tensor: Attribute) -> int:
        """Bytes of a tensor."""
        return self.planes(tensor) * self.field("size")

    def planes(self, tensor: Attribute) -> int:
        return shape_of(tensor)[1] * row_bits(element_of(tensor))

    def pack(self, array: np.ndarray, tensor: Attribute) -> np.ndarray:
        """The tensor's values as planes: uint8 [planes * size]. Unspecified bits are ones."""
        _, channels, height, width = array.shape
        values, planes = values_of(element_of(tensor)), row_bits(element_of(tensor))
        ones = np.stack([array[0] >= values[-1 - p] for p in range(planes)], axis=1)
        bits = np.ones((channels * planes, height, 8 * self.field("pitch")), np.bool_)
        bits[..., :width] = ones.reshape(-1, height, width)
        buffer = np.full((channels * planes, self.field("size")), 255, np.uint8)
        rows = np.packbits(bits, axis=-1, bitorder="little").reshape(len(buffer), -1)
        buffer[:, : rows.shape[1]] = rows
        return buffer.reshape(-1)

    def unpack(self, buffer: np.ndarray, tensor: Attribute) -> np.ndarray:
        """The inverse of `pack`."""
        shape, element = shape_of(tensor), element_of(tensor)
        rows = buffer.reshape(self.planes(tensor), -1)[:, : shape[2] * self.field("pitch")]
        bits = np.unpackbits(rows.reshape(len(rows), shape[2], -1), axis=-1, bitorder="little")[..., : shape[3]]
        count = bits.reshape(shape[1], row_bits(element), *shape[2:]).sum(axis=1)
        return np.array(values_of(element))[count][None].astype(storage_dtype(element))
