"""Reads cell libraries: those in cells/, and files of one's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from ...ir.errors import InputError
from .cell import PINS, Cell, Library, Source
from .functions import DIGITS, Digits, Function, adder
from .netlist import Builder
from .schema import CELL, LIBRARY, SOURCE, check_names, checked
from .simulate import check_cells

SHIPPED = Path(__file__).with_name("cells")
RESERVED, STARTED = ("whole",), "started"
"""A module of `tercet cost --verilog`, and a register in every cell of its cell file."""
DEFAULT, DEFAULT_BINARY = "cntfet32-static", "nangate45-like"


def shipped() -> list[str]:
    """The names of the libraries that come with tercet."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read_library(name: str | Path = DEFAULT) -> Library:
    """A library by its name, or from a file of one's own (.toml).

    Raises InputError for an unknown name, a file that cannot be read, and for what is wrong in it, field by field.
    """
    return _shipped(str(name)) if str(name) in shipped() else _read(Path(name))


@lru_cache
def _shipped(name: str) -> Library:
    return _read(SHIPPED / f"{name}.toml")


def _read(path: Path) -> Library:
    if path.suffix != ".toml":
        raise InputError(f"no cell library '{path}'", hint=f"have: {', '.join(shipped())}; or give a .toml file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read the cell library: {error}", where=str(path)) from error
    return _library(data, str(path))


def _library(data: object, where: str) -> Library:
    top = checked(data, LIBRARY, where)
    sources = {
        name: Source(**checked(each, SOURCE, f"{where}: sources.{name}")) for name, each in top["sources"].items()
    }
    if top["digits"] not in DIGITS:
        raise InputError(f"digits: expected one of {', '.join(DIGITS)}, got '{top['digits']}'", where=where)
    digits = DIGITS[top["digits"]]
    check_names(top["cells"], f"{where}: cells", RESERVED)
    cells = dict(_inherited(top, digits, where))
    for name, each in top["cells"].items():
        cells[name] = _cell(name, each, digits, sources, f"{where}: cells.{name}")
    library = Library(
        top["name"], top["title"], digits, top["technology"], top["inverters"], top.get("supply"), cells
    )  # fmt: skip
    for cell in library.cells.values():
        _check_built(library, cell, f"{where}: cells.{cell.name}")
    return library


def _inherited(top: Mapping[str, object], digits: Digits, where: str) -> Iterator[tuple[str, Cell]]:
    """The cells of the library that this one extends, but for those it drops."""
    if "extends" not in top:
        return
    name = str(top["extends"])
    if Path(name).resolve() == Path(where).resolve():
        raise InputError("extends: the library extends itself", where=where)
    try:
        base, drops = read_library(name), top.get("drops", [])
    except RecursionError:
        raise InputError(f"extends: '{name}' extends this library again", where=where) from None
    assert isinstance(drops, list)
    if base.digits != digits:
        raise InputError(f"extends: '{base.name}' is {base.digits.name}, this library {digits.name}", where=where)
    if unknown := [name for name in drops if name not in base.cells]:
        raise InputError(f"drops: '{base.name}' has no cell {', '.join(unknown)}", where=where)
    yield from ((name, cell) for name, cell in base.cells.items() if name not in drops)


def _cell(name: str, data: object, digits: Digits, sources: Mapping[str, Source], where: str) -> Cell:
    fields = checked(data, CELL, where)
    check_names(fields["outputs"], f"{where}: outputs", (*PINS, STARTED))
    outputs = {}
    for output, text in fields.pop("outputs").items():
        try:
            outputs[output] = Function.parse(digits, text)
        except ValueError as error:
            raise InputError(f"outputs.{output}: {error}", where=where) from error
    if len({function.inputs for function in outputs.values()}) != 1:
        raise InputError("outputs: expected one or more, all of the same inputs", where=where)
    source = fields.pop("source")
    if source not in sources:
        raise InputError(f"source: expected one of {', '.join(sources)}, got '{source}'", where=where)
    for adds in (adder(digits, 2), adder(digits, 3)):
        if tuple(outputs.values()) == adds[::-1]:  # adders are looked for with the sum first
            outputs = dict(reversed(outputs.items()))
    fields["built"] = tuple(fields.get("built", ()))
    return Cell(name=name, outputs=outputs, source=sources[source], **fields)


def _check_built(library: Library, cell: Cell, where: str) -> None:
    """Whether the cells that a cell is said to be built from do the same, for all inputs."""
    if cell.built and (problem := check_cells(Builder(library), cell)):
        raise InputError(f"built: {problem}", where=where)
