"""Layouts of feature maps in memory, each with its exact meaning as numpy code.

A plain `tensor<..>` at kernel level is dense: row-major, in its storage dtype. `!kn.map<tensor<..>, layout>` is not. A
layout is an attribute with `check`, `satisfies`, `dtype`, `elements`, `pack` and `unpack` of a tensor, with WORDS and
`words` for people: a file here and a name in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias, cast

import numpy as np
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.utils.exceptions import VerifyException

from ..types import Tensor, element_of, shape_of, storage_dtype
from .bit_rows import BitRowsLayout
from .bits import BitsLayout
from .planes import PlanesLayout
from .requests import AnyLayout, BitRows, Bits, Dense, LayoutRequest, Planes

LAYOUTS = [PlanesLayout, BitsLayout, BitRowsLayout]
Layout: TypeAlias = PlanesLayout | BitsLayout | BitRowsLayout


@irdl_attr_definition
class MapType(ParametrizedAttribute, TypeAttribute):
    """A feature map in a layout other than dense: `!kn.map<tensor<1x64x28x28x!tn.int<-1:1>>, #kn.planes<..>>`."""

    name = "kn.map"
    tensor: Attribute
    layout: Attribute

    def verify(self) -> None:
        if not isinstance(self.layout, Layout):
            raise VerifyException(f"!kn.map: expected a layout, got {self.layout}")
        self.layout.check(self.tensor)


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


def satisfies(kind: Attribute, request: LayoutRequest) -> bool:
    """Whether a value of a type, dense or laid out, can be read by who asks so."""
    layout = layout_of(kind)
    return isinstance(request, Dense | AnyLayout) if layout is None else layout.satisfies(request, tensor_in(kind))


def wanted(tensor: Attribute, request: LayoutRequest, others: Sequence[LayoutRequest] = ()) -> Layout | None:
    """The layout in which a tensor satisfies a request, and those of `others` that it can serve too; None: dense."""
    if isinstance(request, Planes):
        alike = [r for r in others if isinstance(r, Planes) and r.stride == request.stride]
        return PlanesLayout.join(tensor, [request, *alike])
    if isinstance(request, Bits):
        return BitsLayout.of(request.axis, request.groups)
    return BitRowsLayout.of(tensor) if isinstance(request, BitRows) else None


def in_layout(tensor: Attribute, layout: Layout | None) -> Tensor | MapType:
    """The type of a tensor in a layout; None: dense."""
    return cast(Tensor, tensor) if layout is None else MapType(tensor, layout)


def buffer_dtype(kind: Attribute) -> np.dtype:
    """The dtype of what a buffer consists of: elements, or words or bytes of bits."""
    layout, tensor = layout_of(kind), tensor_in(kind)
    return storage_dtype(element_of(tensor)) if layout is None else layout.dtype(tensor)


def elements_in_buffer(kind: Attribute) -> int:
    layout, tensor = layout_of(kind), tensor_in(kind)
    return prod(shape_of(tensor)) if layout is None else layout.elements(tensor)


def buffer_bytes(kind: Attribute) -> int:
    """Bytes of a value's buffer, without the readable tail."""
    return elements_in_buffer(kind) * buffer_dtype(kind).itemsize


def pack(array: np.ndarray, kind: Attribute) -> np.ndarray:
    """A tensor's values as the flat buffer of its type. Unspecified elements are filled with a value of the range."""
    if (layout := layout_of(kind)) is None:
        return np.ascontiguousarray(array, dtype=buffer_dtype(kind)).reshape(-1)
    return layout.pack(array, tensor_in(kind))


def unpack(buffer: np.ndarray, kind: Attribute) -> np.ndarray:
    """The tensor in a flat buffer; the inverse of `pack`."""
    layout, tensor = layout_of(kind), tensor_in(kind)
    return buffer.reshape(shape_of(tensor)) if layout is None else layout.unpack(buffer, tensor)
