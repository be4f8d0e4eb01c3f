"""Feature maps in bits as the kernels' C sees them, `struct bit_map` of bit_map.h; conversions to and from bytes."""

from __future__ import annotations

from math import prod
from pathlib import Path

from xdsl.ir import Attribute

from ...ir.kn.bits import BitsLayout, planes_in_bits
from ...ir.kn.kernel import ConvertOp
from ...ir.kn.layout import bits_of, planes_of, tensor_in
from ...ir.types import Element, element_of, shape_of, values_of
from .engine import KernelCode
from .epilogue import HEADERS
from .planes import planes_initialiser
from .text import Lines, kernel_head

BIT_MAP_HEADERS = (*HEADERS, Path(__file__).with_name("bit_map.h"))


def bit_places(element: Element) -> list[tuple[int, int]]:
    """For every bit of a value: which bit of its byte says it, and 255 where it says the contrary."""
    if planes_in_bits(element) == 2:
        return [(0, 0), (7, 0)]  # only -1 and 1 are odd
    values = values_of(element)
    low, high = values[0] & 255, values[-1] & 255
    if low == high:
        return [(0, 255 if high & 1 else 0)]  # one value: its bit is 0
    shift = next(i for i in range(8) if (low ^ high) >> i & 1)
    return [(shift, 0 if high >> shift & 1 else 255)]


def bit_map_initialiser(tensor: Attribute, layout: BitsLayout) -> str:
    """A C initialiser of `struct bit_map` for a tensor in bits."""
    element, groups = element_of(tensor), layout.field("groups")
    places, values = bit_places(element), values_of(element)
    shifts, inverts = (", ".join(str(place[i]) for place in places) for i in (0, 1))
    channels = shape_of(tensor)[layout.field("axis")] // groups
    return (
        f"{{.channels = {channels}, .groups = {groups}, .words = {layout.group_words(tensor)}, "
        f".planes = {len(places)}, .shift = {{{shifts}}}, .invert = {{{inverts}}}, "
        f".low = {values[0]}, .high = {values[-1]}}}"
    )


def bytes_initialiser(kind: Attribute, axis: int) -> str:
    """A C initialiser of `struct planes` for a tensor in planes, or a dense one seen as [channels, pixels]."""
    if planes_of(kind):
        return planes_initialiser(kind)
    shape = shape_of(tensor_in(kind))
    inner = prod(shape[axis + 1 :])
    return (
        f"{{.channels = {prod(shape[: axis + 1])}, .height = 1, .width = {inner}, .pitch = {inner}, .size = {inner}, "
        f".stride = 1, .item = 1}}"
    )


def emit_bits_convert(op: ConvertOp, symbol: str) -> KernelCode:
    """C for a kn.convert to or from bits."""
    source, target = bits_of(op.x.type), bits_of(op.y.type)
    layout, bytes_kind = (target, op.x.type) if target else (source, op.y.type)
    assert layout is not None
    tensor, axis = tensor_in(op.x.type), layout.field("axis")
    out = Lines()
    if source and target:
        with out.block(kernel_head(symbol)):
            out.add(
                f"static const struct bit_map from = {bit_map_initialiser(tensor, source)};",
                f"static const struct bit_map to = {bit_map_initialiser(tensor, target)};",
                f"bit_map_regroup(task, &from, &to, {layout.pixels(tensor)});",
            )
        return KernelCode(out.text(), headers=BIT_MAP_HEADERS)
    outer = prod(shape_of(tensor)[:axis])
    with out.block(kernel_head(symbol)):
        out.add(
            f"static const struct bit_map bits = {bit_map_initialiser(tensor, layout)};",
            f"static const struct planes map = {bytes_initialiser(bytes_kind, axis)};",
            f"bit_map_{'from' if target else 'to'}_bytes(task, &bits, &map, {outer});",
        )
    return KernelCode(out.text(), headers=BIT_MAP_HEADERS)
