"""The layout of maps in planes: one for each channel, with a border around the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

import numpy as np
from xdsl.dialects.builtin import IntAttr
from xdsl.ir import Attribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

from ..types import element_of, range_of, shape_of, storage_dtype
from .fields import IntFields
from .requests import AnyLayout, LayoutRequest, Planes

IntOrArray = TypeVar("IntOrArray", int, np.ndarray)


@irdl_attr_definition
class PlanesLayout(IntFields):
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

    WORDS: ClassVar = "planes"
    FIELDS: ClassVar = ("top", "left", "pitch", "size", "stride", "zero")

    @classmethod
    def of(cls, *, top: int, left: int, pitch: int, size: int, stride: int = 1, zero: int = 1) -> PlanesLayout:
        return cls(*(IntAttr(v) for v in (top, left, pitch, size, stride, zero)))

    def verify(self) -> None:
        if self.field("stride") < 1 or self.field("zero") not in (0, 1):
            raise VerifyException("#kn.planes: expected stride >= 1 and zero 0 or 1")
        if min(self.field(n) for n in ("top", "left")) < 0 or min(self.field(n) for n in ("pitch", "size")) < 1:
            raise VerifyException("#kn.planes: expected top, left >= 0 and pitch, size >= 1")
        if self.field("size") % self.field("stride") ** 2:
            raise VerifyException("#kn.planes: expected size a multiple of stride^2")

    @classmethod
    def join(cls, tensor: Attribute, requests: Sequence[Planes]) -> PlanesLayout:
        """The smallest planes of a tensor [1, C, H, W] that satisfy all of some requests of one stride."""
        top, left, bottom, right = (
            max(getattr(r, side) for r in requests) for side in ("top", "left", "bottom", "right")
        )
        stride, (_, _, height, width) = requests[0].stride, shape_of(tensor)
        pitch, rows = -(-(left + width + right) // stride), -(-(top + height + bottom) // stride)
        zero = any(r.zero for r in requests)
        return cls.of(
            top=top, left=left, pitch=pitch, size=max(pitch * rows, 1) * stride**2, stride=stride, zero=int(zero)
        )

    def check(self, tensor: Attribute) -> None:
        """Raises VerifyException for a tensor that does not fit the layout."""
        shape = shape_of(tensor)
        if len(shape) != 4 or shape[0] != 1:
            raise VerifyException(f"!kn.map: expected a map [1, C, H, W], got {list(shape)}")
        if shape[2] * shape[3]:
            last = self.field("left") + shape[3]
            wide = last > self.field("pitch") * self.field("stride")
            if wide or self.positions(tensor).max() >= self.field("size"):
                raise VerifyException(f"!kn.map: {list(shape)} does not fit into {self}")

    def satisfies(self, request: LayoutRequest, tensor: Attribute) -> bool:
        """Whether a tensor in this layout can be read by who asks so."""
        if not isinstance(request, Planes):
            return isinstance(request, AnyLayout)
        s, (_, _, height, width) = self.field("stride"), shape_of(tensor)
        rows, columns = self.field("size") // s**2 // self.field("pitch") * s, self.field("pitch") * s
        return (
            s == request.stride
            and self.field("top") >= request.top
            and self.field("left") >= request.left
            and rows - self.field("top") - height >= request.bottom
            and columns - self.field("left") - width >= request.right
            and (self.field("zero") == 1 or not request.zero)
        )

    def words(self) -> str:
        stride = self.field("stride")
        phases = f", {stride}x{stride} phases" if stride > 1 else ""
        return f"planes (pitch {self.field('pitch')}, size {self.field('size')}{phases})"

    def dtype(self, tensor: Attribute) -> np.dtype:
        return storage_dtype(element_of(tensor))

    def elements(self, tensor: Attribute) -> int:
        """Elements of a tensor, borders included."""
        return shape_of(tensor)[1] * self.field("size")

    def place(self, y: IntOrArray, x: IntOrArray) -> IntOrArray:
        """The element of a plane that holds pixel (y, x), which may lie in the border."""
        s, y, x = self.field("stride"), y + self.field("top"), x + self.field("left")
        return (y % s * s + x % s) * (self.field("size") // s**2) + y // s * self.field("pitch") + x // s

    def positions(self, tensor: Attribute) -> np.ndarray:
        """The element of every pixel of one plane: [H, W] int64."""
        _, _, height, width = shape_of(tensor)
        return self.place(np.arange(height)[:, None], np.arange(width)[None, :])

    def pack(self, array: np.ndarray, tensor: Attribute) -> np.ndarray:
        """The tensor's values as planes. Unspecified elements are filled with a value of the range."""
        dtype = self.dtype(tensor)
        fill = 0 if self.field("zero") or dtype.kind == "f" else range_of(element_of(tensor))[1]
        buffer = np.full((array.shape[1], self.field("size")), fill, dtype)
        buffer[:, self.positions(tensor).reshape(-1)] = array[0].reshape(array.shape[1], -1)
        return buffer.reshape(-1)

    def unpack(self, buffer: np.ndarray, tensor: Attribute) -> np.ndarray:
        """The inverse of `pack`."""
        shape = shape_of(tensor)
        planes = buffer.reshape(shape[1], self.field("size"))
        return planes[:, self.positions(tensor).reshape(-1)].reshape(shape)
