"""Layouts of feature maps in memory, each with its exact meaning as numpy code.

A plain `tensor<..>` at kernel level is dense: row-major, in its storage dtype. `!kn.map<tensor<..>, layout>` is not.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import IntAttr
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from ..types import Element, Tensor, element_of, range_of, shape_of, storage_dtype
from .bit_rows import BitRowsLayout
from .bits import BitsLayout


@irdl_attr_definition
class PlanesLayout(ParametrizedAttribute):
    """One plane per channel: rows of `pitch` elements, `top` rows and `left` columns of border before the first pixel.

    With stride s > 1 a plane is split into s*s phases, so that a strided filter tap is a plain shifted load.
    Pixel (c, y, x), with Y = y + top and X = x + left, is element
        c * size + ((Y % s) * s + X % s) * (size / s^2) + (Y // s) * pitch + X // s.
    zero = 1: every other element inside a plane is 0. zero = 0: they are unspecified (but readable).
    Text: `#kn.planes<top = 1, left = 1, pitch = 34, size = 1156, stride = 1, zero = 1>`.
    """

    name = "kn.planes"
    top: IntAttr
    left: IntAttr
    pitch: IntAttr
    size: IntAttr
    stride: IntAttr
    zero: IntAttr

    FIELDS: ClassVar = ("top", "left", "pitch", "size", "stride", "zero")

    @classmethod
    def of(cls, *, top: int, left: int, pitch: int, size: int, stride: int = 1, zero: int = 1) -> PlanesLayout:
        return cls(*(IntAttr(v) for v in (top, left, pitch, size, stride, zero)))

    def field(self, name: str) -> int:
        return cast(IntAttr, getattr(self, name)).data

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        values: list[Attribute] = []
        with parser.in_angle_brackets():
            for i, name in enumerate(cls.FIELDS):
                if i:
                    parser.parse_punctuation(",")
                parser.parse_keyword(name)
                parser.parse_punctuation("=")
                values.append(IntAttr(parser.parse_integer(allow_boolean=False)))
        return values

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(", ".join(f"{name} = {self.field(name)}" for name in self.FIELDS))

    def verify(self) -> None:
        if self.field("stride") < 1 or self.field("zero") not in (0, 1):
            raise VerifyException("#kn.planes: want stride >= 1 and zero 0 or 1")
        if min(self.field(n) for n in ("top", "left")) < 0 or min(self.field(n) for n in ("pitch", "size")) < 1:
            raise VerifyException("#kn.planes: want top, left >= 0 and pitch, size >= 1")
        if self.field("size") % self.field("stride") ** 2:
            raise VerifyException("#kn.planes: want size a multiple of stride^2")

    def positions(self, shape: tuple[int, ...]) -> np.ndarray:
        """The element index of every pixel of one plane: [H, W] int64 for a map [1, C, H, W]."""
        s, phase = self.field("stride"), self.field("size") // self.field("stride") ** 2
        y = np.arange(shape[2])[:, None] + self.field("top")
        x = np.arange(shape[3])[None, :] + self.field("left")
        return ((y % s) * s + x % s) * phase + (y // s) * self.field("pitch") + x // s


@irdl_attr_definition
class MapType(ParametrizedAttribute, TypeAttribute):
    """A feature map in a layout other than dense: `!kn.map<tensor<1x64x28x28x!tn.int<-1:1>>, #kn.planes<..>>`."""

    name = "kn.map"
    tensor: Attribute
    layout: Attribute

    def verify(self) -> None:
        shape, layout = shape_of(self.tensor), self.layout
        if isinstance(layout, BitsLayout | BitRowsLayout):
            layout.check(self.tensor)
            return
        if not isinstance(layout, PlanesLayout):
            raise VerifyException(f"!kn.map: want a layout, have {layout}")
        if len(shape) != 4 or shape[0] != 1:
            raise VerifyException(f"!kn.map: want a map [1, C, H, W], have {list(shape)}")
        if shape[2] * shape[3]:
            positions = layout.positions(shape)
            last = layout.field("left") + shape[3]
            if last > layout.field("pitch") * layout.field("stride") or positions.max() >= layout.field("size"):
                raise VerifyException(f"!kn.map: {list(shape)} does not fit into {layout}")


LAYOUTS = [PlanesLayout, BitsLayout, BitRowsLayout]
Layout: TypeAlias = PlanesLayout | BitsLayout | BitRowsLayout


def tensor_in(kind: Attribute) -> Tensor:
    """The tensor that a dense or laid-out type holds."""
    return cast(Tensor, kind.tensor if isinstance(kind, MapType) else kind)


def layout_of(kind: Attribute) -> Layout | None:
    """The layout of a type; None for dense."""
    return cast(Layout, kind.layout) if isinstance(kind, MapType) else None


def planes_of(kind: Attribute) -> PlanesLayout | None:
    """The layout of a type in planes; None for all others."""
    layout = layout_of(kind)
    return layout if isinstance(layout, PlanesLayout) else None


def bits_of(kind: Attribute) -> BitsLayout | None:
    """The layout of a type in bits; None for all others."""
    layout = layout_of(kind)
    return layout if isinstance(layout, BitsLayout) else None


def bit_rows_of(kind: Attribute) -> BitRowsLayout | None:
    """The layout of a type in rows of bits; None for all others."""
    layout = layout_of(kind)
    return layout if isinstance(layout, BitRowsLayout) else None


def lane_dtype(element: Element) -> np.dtype:
    """The dtype of a plane's elements: int8 where it fits, else as stored densely."""
    return storage_dtype(element)


def buffer_dtype(kind: Attribute) -> np.dtype:
    """The dtype of what a buffer consists of: elements, or words or bytes of bits."""
    if bits_of(kind):
        return np.dtype(np.uint64)
    return np.dtype(np.uint8) if bit_rows_of(kind) else lane_dtype(element_of(tensor_in(kind)))


def elements_in_buffer(kind: Attribute) -> int:
    tensor, layout = tensor_in(kind), layout_of(kind)
    if layout is None:
        return int(np.prod(shape_of(tensor), dtype=np.int64))
    if isinstance(layout, BitsLayout):
        return layout.pixels(tensor) * layout.pixel_words(tensor)
    if isinstance(layout, BitRowsLayout):
        return layout.planes(tensor) * layout.field("size")
    return shape_of(tensor)[1] * layout.field("size")


def buffer_bytes(kind: Attribute) -> int:
    """Bytes of a value's buffer, without the readable tail."""
    return elements_in_buffer(kind) * buffer_dtype(kind).itemsize


def pack(array: np.ndarray, kind: Attribute) -> np.ndarray:
    """A tensor's values as the flat buffer of its type. Unspecified elements are filled with a value of the range."""
    layout, element = layout_of(kind), element_of(tensor_in(kind))
    dtype = buffer_dtype(kind)
    if layout is None:
        return np.ascontiguousarray(array, dtype=dtype).reshape(-1)
    if isinstance(layout, BitsLayout | BitRowsLayout):
        return layout.pack(array, tensor_in(kind))
    fill = 0 if layout.field("zero") or dtype.kind == "f" else range_of(element)[1]
    buffer = np.full((array.shape[1], layout.field("size")), fill, dtype)
    buffer[:, layout.positions(array.shape).reshape(-1)] = array[0].reshape(array.shape[1], -1)
    return buffer.reshape(-1)


def unpack(buffer: np.ndarray, kind: Attribute) -> np.ndarray:
    """The tensor in a flat buffer; the inverse of `pack`."""
    layout, shape = layout_of(kind), shape_of(tensor_in(kind))
    if layout is None:
        return buffer.reshape(shape)
    if isinstance(layout, BitsLayout | BitRowsLayout):
        return layout.unpack(buffer, tensor_in(kind))
    planes = buffer.reshape(shape[1], layout.field("size"))
    return planes[:, layout.positions(shape).reshape(-1)].reshape(shape)
