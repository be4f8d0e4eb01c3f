"""Cell libraries in the Liberty format: one's own, or written from a library of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ....ir.errors import InputError
from ..cell import Cell, Library
from ..functions import BINARY


@dataclass(frozen=True)
class Liberty:
    """text: of the file. where: what messages call it. transistors: of cells, by name; none are known of a file of
    one's own. adders: cells of several outputs, which ABC cannot map to: netlists keep theirs."""

    text: str
    where: str
    transistors: Mapping[str, int] = field(default_factory=dict)
    adders: tuple[str, ...] = ()


def read_liberty(path: str | Path) -> Liberty:
    """A file of one's own. Raises InputError for one that cannot be read, or has no cells."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the liberty file: {error}", where=str(path)) from error
    if "cell" not in text:
        raise InputError("no cells: expected a cell library in the Liberty format", where=str(path))
    return Liberty(text, str(path))


def liberty_of(library: Library) -> Liberty:
    """Areas and functions alone: what a library does not say, such as delays, is not written.

    Raises ValueError for cells that are not binary, and InputError for a library without areas: ABC goes by them.
    """
    library.require("a liberty file", BINARY)
    if without := [cell.name for cell in library.cells.values() if cell.area is None]:
        raise InputError(
            f"{library.name} has no area for {', '.join(without)}, by which Yosys chooses cells",
            hint="give a binary library with areas, or a liberty file",
        )
    lines = [f"library ({library.name.replace('-', '_')}) {{"]
    for cell in library.cells.values():
        lines += _cell(cell)
    counts = {cell.name: cell.all_transistors for cell in library.cells.values()}
    adders = tuple(cell.name for cell in library.cells.values() if len(cell.outputs) > 1)
    return Liberty("\n".join([*lines, "}", ""]), library.name, counts, adders)


def _cell(cell: Cell) -> Iterator[str]:
    yield f"  cell ({cell.name}) {{"
    yield f"    area : {cell.area};"
    yield from (f"    pin ({pin}) {{ direction : input; }}" for pin in cell.pins)
    for name in cell.outputs:
        yield f'    pin ({name}) {{ direction : output; function : "{minterms(cell, name)}"; }}'
    yield "  }"


def minterms(cell: Cell, output: str) -> str:
    """The function of an output as a sum of products, or its negation where that is shorter: Liberty's operators, which
    are Verilog's for one bit but for the negation, `!`."""
    function = cell.outputs[output]
    ones = sum(function.table)
    if ones in (0, len(function.table)):
        return "1" if ones else "0"
    wanted = 0 if 2 * ones > len(function.table) else 1
    terms = []
    for row, value in enumerate(function.table):
        if value == wanted:
            bits = f"{row:0{cell.inputs}b}"
            terms.append("&".join(pin if bit == "1" else f"!{pin}" for pin, bit in zip(cell.pins, bits, strict=True)))
    text = "|".join(f"({term})" for term in terms)
    return text if wanted else f"!({text})"
