"""Aligned columns as plain text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import numpy as np

from ...ir.names import one_line


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: str = "", width: int = 44) -> str:
    """Rows under a header; cells longer than `width` are cut. right: for each column '>' (numbers) or '<'."""
    cells = [[_cut(cell, width) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    sides = right.ljust(len(header), "<")

    def line(row: Sequence[str]) -> str:
        return "  ".join(f"{c:{side}{w}}" for c, side, w in zip(row, sides, widths, strict=True)).rstrip()

    rule = "  ".join("-" * w for w in widths)
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def csv_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same rows as CSV; numbers lose the commas that part their thousands."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([header, *([_plain(cell) for cell in row] for row in rows)])
    return out.getvalue()


def _plain(cell: str) -> str:
    return re.sub(r"(?<!\S)\d{1,3}(,\d{3})+(?!\S)", lambda number: number[0].replace(",", ""), one_line(cell))


def pairs(items: Sequence[tuple[str, str]]) -> str:
    """Labels and texts in two columns; a label that repeats is shown once."""
    width = max((len(label) for label, _ in items), default=0)
    lines, last = [], None
    for label, text in items:
        lines.append(f"{label if label != last else '':<{width}}  {one_line(text)}".rstrip())
        last = label
    return "\n".join(lines)


def _cut(text: str, width: int) -> str:
    text = one_line(text)
    return text if len(text) <= width else text[: width - 3] + "..."


def seconds_text(seconds: float) -> str:
    """A time in the unit that suits it."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def values_text(array: np.ndarray, most: int = 8) -> str:
    """The first values of a tensor."""
    values = array.reshape(-1)
    shown = " ".join(f"{value:.6g}" for value in values[:most].tolist())
    return f"{shown} ..." if values.size > most else shown
