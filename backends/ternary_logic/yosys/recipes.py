"""Kinds of synthesis: the script that Yosys runs, and what is read from its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ....ir.errors import InputError
from .liberty import Liberty
from .options import FAMILIES
from .tool import RESULT

TOP = "top"
"""The module that is synthesised."""
DESIGN, CELLS = "design.v", "cells.lib"


@dataclass(frozen=True)
class CellCount:
    """Standard cells. transistors: None where a cell's are not known. area: in the units of the liberty file (um2 for
    ours), None where it gives none for a cell."""

    cells: Mapping[str, int]
    transistors: int | None
    area: float | None

    @property
    def unit(self) -> str:
        """What circuits are compared by: transistors, else area, else cells."""
        return "transistors" if self.transistors is not None else "area" if self.area is not None else "cells"

    @property
    def size(self) -> float:
        """In its unit."""
        return next(n for n in (self.transistors, self.area, sum(self.cells.values())) if n is not None)

    def times(self, count: int) -> CellCount:
        return CellCount(
            _times(self.cells, count),
            None if self.transistors is None else count * self.transistors,
            None if self.area is None else count * self.area,
        )


@dataclass(frozen=True)
class LutCount:
    """An FPGA's cells. luts: look-up tables, of one to six inputs, an inverter among them; no two share a LUT6.
    carries: cells of four or eight bits. flip_flops: none in what has no registers."""

    cells: Mapping[str, int]
    luts: int
    carries: int
    flip_flops: int

    @property
    def unit(self) -> str:
        return "LUTs"

    @property
    def size(self) -> float:
        return self.luts

    def times(self, count: int) -> LutCount:
        return LutCount(
            _times(self.cells, count), count * self.luts, count * self.carries, count * self.flip_flops
        )  # fmt: skip


Count: TypeAlias = CellCount | LutCount


def _times(cells: Mapping[str, int], count: int) -> Mapping[str, int]:
    return {name: count * number for name, number in cells.items()}


class Recipe(Protocol):
    """name: what is made, in words. files: beside DESIGN. adders: modules that the design may leave as they are."""

    @property
    def name(self) -> str: ...
    @property
    def script(self) -> str: ...
    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def adders(self) -> tuple[str, ...]: ...
    def read(self, result: str) -> Count:
        """Of the text that the script wrote."""
        ...


@dataclass(frozen=True)
class StandardCells:
    """`synth` and ABC with a liberty file. No delay is asked for or read."""

    liberty: Liberty

    @property
    def name(self) -> str:
        return f"cells of {self.liberty.where}"

    @property
    def script(self) -> str:
        return "\n".join([
            f"read_verilog {DESIGN}", f"synth -flatten -top {TOP}", f"abc -liberty {CELLS}", "opt_clean -purge",
            f"tee -q -o {RESULT} stat -json -liberty {CELLS}", "",
        ])  # fmt: skip

    @property
    def files(self) -> Mapping[str, str]:
        return {CELLS: self.liberty.text}

    @property
    def adders(self) -> tuple[str, ...]:
        return self.liberty.adders

    def read(self, result: str) -> CellCount:
        cells, area = _stat(result)
        known = self.liberty.transistors
        transistors = sum(known[cell] * n for cell, n in cells.items()) if cells.keys() <= known.keys() else None
        return CellCount(cells, transistors, area)


@dataclass(frozen=True)
class Fpga:
    """`synth_xilinx` without pads, clock buffers and DSP blocks: what is computed is in look-up tables and carry cells.
    Raises InputError for a family that has no LUT6."""

    family: str = FAMILIES[0]

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"no FPGA family '{self.family}'", hint=f"have: {', '.join(FAMILIES)}")

    @property
    def name(self) -> str:
        return f"LUTs of {self.family}"

    @property
    def script(self) -> str:
        return "\n".join([
            f"read_verilog {DESIGN}",
            f"synth_xilinx -family {self.family} -top {TOP} -flatten -noiopad -noclkbuf -nodsp",
            f"tee -q -o {RESULT} stat -json", "",
        ])  # fmt: skip

    @property
    def files(self) -> Mapping[str, str]:
        return {}

    @property
    def adders(self) -> tuple[str, ...]:
        return ()

    def read(self, result: str) -> LutCount:
        cells, _ = _stat(result)

        def count(*prefixes: str) -> int:
            return sum(n for cell, n in cells.items() if cell.startswith(prefixes))

        return LutCount(cells, count("LUT", "INV"), count("CARRY"), count("FD"))


def _stat(result: str) -> tuple[Mapping[str, int], float | None]:
    """Cells by name, and the area, of the text of `stat -json`, where cells without an area have none or 0."""
    design = json.loads(result)["design"]
    area = design.get("area")
    return dict(sorted(design["num_cells_by_type"].items())), float(area) if area else None
