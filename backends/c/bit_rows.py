"""Feature maps in rows of bits as the kernels' C sees them, `struct bit_rows` of bit_rows.h; conversions of them."""

from __future__ import annotations

from pathlib import Path

from xdsl.ir import Attribute

from ...ir.kn.bit_rows import BitRowsLayout, row_bits
from ...ir.kn.kernel import ConvertOp
from ...ir.kn.layout import bit_rows_of, bits_of, tensor_in
from ...ir.types import Element, element_of, shape_of, values_of
from .bit_maps import BIT_MAP_HEADERS, bit_map_initialiser
from .engine import KernelCode
from .epilogue import HEADERS
from .planes import planes_initialiser
from .text import Lines, kernel_head

HERE = Path(__file__).parent
RUN = 64
"""Pixels of a row that are packed together."""
DEFINES = {"BIT_ROWS_RUN": RUN}
BIT_ROWS_HEADERS = (*HEADERS, HERE / "bit_rows.h")


def marks_of(element: Element) -> tuple[str, ...]:
    """What each bit of a value marks: of enum bit_rows_mark."""
    if row_bits(element) == 2:
        return ("BIT_ROWS_PLUS", "BIT_ROWS_NOT_MINUS")
    return ("BIT_ROWS_PLUS",) if values_of(element)[-1] == 1 else ("BIT_ROWS_NOT_MINUS",)


def bit_rows_initialiser(tensor: Attribute, layout: BitRowsLayout) -> str:
    """A C initialiser of `struct bit_rows` for a tensor [1, C, H, W] in rows of bits."""
    _, channels, height, width = shape_of(tensor)
    values, marks = values_of(element_of(tensor)), marks_of(element_of(tensor))
    return (
        f"{{.channels = {channels}, .height = {height}, .width = {width}, .pitch = {layout.field('pitch')}, "
        f".size = {layout.field('size')}, .planes = {len(marks)}, .low = {values[0]}, .step = {values[1] - values[0]}, "
        f".marks = {{{', '.join(marks)}}}}}"
    )


def emit_bit_rows_convert(op: ConvertOp, symbol: str) -> KernelCode:
    """C for a kn.convert to or from rows of bits."""
    source, target = bit_rows_of(op.x.type), bit_rows_of(op.y.type)
    layout, other = (target, op.x.type) if target else (source, op.y.type)
    assert layout is not None
    tensor, axis, out = tensor_in(op.x.type), 1, Lines()
    with out.block(kernel_head(symbol)):
        out.add(f"static const struct bit_rows rows = {bit_rows_initialiser(tensor, layout)};")
        if words := bits_of(other):
            out.add(f"static const struct bit_map map = {bit_map_initialiser(tensor, words)};")
            if (axis := words.field("axis")) == 1:
                out.add(f"bit_rows_{'from' if target else 'to'}_words(task, &rows, &map);")
            else:
                out.add(f"bit_rows_move_all(task, &rows, &map, {words.pixels(tensor)}, {axis}, {int(bool(target))});")
        else:
            out.add(f"static const struct planes map = {planes_initialiser(other)};")
            order = "&map, &rows" if target else "&rows, &map"
            out.add(f"bit_rows_{'from' if target else 'to'}_bytes(task, {order});")
    if words:
        headers = (*BIT_MAP_HEADERS, HERE / "bit_rows.h", HERE / "bit_rows_words.h")
        return KernelCode(out.text(), headers=headers, parallel=axis == 1, defines=DEFINES)
    return KernelCode(out.text(), headers=BIT_ROWS_HEADERS, defines=DEFINES)
