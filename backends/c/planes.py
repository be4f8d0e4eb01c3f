"""Feature maps as the kernels' C sees them: `struct planes` of planes.h for any type of a map."""

from __future__ import annotations

from pathlib import Path

from xdsl.ir import Attribute

from ...ir.kn.layout import PlanesLayout, planes_of, tensor_in
from ...ir.types import element_of, shape_of, storage_dtype

PLANES_HEADER = Path(__file__).with_name("planes.h")


def layout_or_dense(kind: Attribute) -> PlanesLayout:
    """The layout of a map [1, C, H, W]; a dense map is planes without any border."""
    _, _, height, width = shape_of(tensor_in(kind))
    return planes_of(kind) or PlanesLayout.of(top=0, left=0, pitch=max(width, 1), size=max(height * width, 1), zero=0)


def planes_initialiser(kind: Attribute, item: int | None = None) -> str:
    """A C initialiser of `struct planes` for a map [1, C, H, W], dense or in planes. item: bytes of an element, where
    the kernel holds it in another size than the map."""
    tensor, layout = tensor_in(kind), layout_or_dense(kind)
    _, channels, height, width = shape_of(tensor)
    fields = ", ".join(f".{name} = {layout.field(name)}" for name in PlanesLayout.FIELDS)
    sizes = f".channels = {channels}, .height = {height}, .width = {width}"
    return f"{{{sizes}, {fields}, .item = {item or storage_dtype(element_of(tensor)).itemsize}}}"


def row_c(layout: PlanesLayout) -> str:
    """The index of the first element of row y in phase column 0, without the left border."""
    stride, top, pitch = layout.field("stride"), layout.field("top"), layout.field("pitch")
    y = f"(y + {top})" if top else "y"
    if stride == 1:
        return f"{y} * {pitch}"
    phase_row = layout.field("size") // stride
    return f"{y} % {stride} * {phase_row} + {y} / {stride} * {pitch}"


def column_offset(layout: PlanesLayout, x: int) -> int:
    """What column x adds to `row_c`."""
    stride = layout.field("stride")
    x += layout.field("left")
    return x % stride * (layout.field("size") // stride**2) + x // stride
