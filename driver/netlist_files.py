"""A network's operations as folders of Verilog, test benches and BLIF for other tools."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from xdsl.ir import Operation

from ..backends.ternary_logic.cell import Library
from ..backends.ternary_logic.formats.blif import blif
from ..backends.ternary_logic.formats.verilog import bench_files, cells, cells_file
from ..backends.ternary_logic.lowering.coding import Coding
from ..backends.ternary_logic.lowering.graph import ON_FLOATS, MappedProgram, encoded, map_program
from ..backends.ternary_logic.lowering.tiles import Tile, tiles
from ..backends.ternary_logic.lowering.vectors import Maps, digits_for, random_maps, recorded, traced
from ..ir.atomic import atomic_folder, check_writable
from ..ir.errors import InputError
from ..ir.locations import nodes_text, source_names
from ..ir.names import identifier
from ..ir.program import Program
from ..runtime.artifact.manifest import PortInfo
from ..runtime.check.samples import Samples, random_samples

VECTORS = 256
"""Of each test bench, at most."""
SAMPLES = 64
"""So many samples of the inputs are run to get them."""
WHOLE = 50_000
"""The whole network is written as one netlist up to so many gates: Icarus takes about 40 KB of memory for each."""
MARK = "tercet-netlists.json"
README = """\
# {model} as netlists
Written by `tercet cost --verilog`. A folder for each coding and cell library; in it, for each operation, one tile: the
gates of one pixel with all of its output channels, of which the network has as many as it has pixels.

| file | what it is |
| --- | --- |
| NAME.v | the structural netlist: a module of cells |
| *_cells.v | the cells of the library, as truth tables |
| NAME_bench.v, NAME_*.mem | a test bench, and its vectors: a line of bits each, the first wire last |
| NAME.blif | the same netlist in BLIF, with its cells |

A trit is two wires {{neg, pos}}: 10 is -1, 00 is 0, 01 is 1. A port is all wires of a number in all places, the lowest
place first: `x0`, `x1` are what the operation reads, `y` is what it gives. Expected outputs are those of tercet's
interpreter, which does not know gates.

With Icarus Verilog (`apt install iverilog`), which prints PASS or FAIL and a number of vectors:

```sh
cd {example}
iverilog -g2001 -o /tmp/bench {first}.v {first}_bench.v {cells}
vvp /tmp/bench
```

It takes about 40 KB of memory for each gate, and for each vector some microseconds for each gate of a sum.

{tables}
## The whole network
{whole}

`tercet cost --verilog` replaces this folder only if it wrote every file in it and none was changed since.
"""



@dataclass(frozen=True)
class Given:
    """Inputs by name, a sample each, and what messages call them."""

    source: str
    runs: Sequence[Mapping[str, np.ndarray]]

    @classmethod
    def of(cls, samples: Samples, *, batched: bool) -> Given:
        """batched: as of the program when the samples were made; passes may find that it takes any batch."""
        return cls(samples.source, [samples.inputs_of(i, batched) for i in range(samples.count)])


Texts: TypeAlias = "Iterable[tuple[str, Iterable[str]]]"
"""Paths in a folder, and the lines of each file."""


@dataclass(frozen=True)
class Row:
    """Of the README's tables. vectors: where they come from."""

    name: str
    about: str
    gates: int
    copies: int
    vectors: str


def check_folder(path: Path) -> None:
    """Raises InputError for a folder that cannot be written, or holds what `write_folder` did not write."""
    try:
        check_writable(path)
        if not path.exists():
            return
        if not path.is_dir():
            raise InputError("is a file; not replaced by a folder", where=str(path), hint="choose another folder")
        found = sorted(str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir())
        known = _digests(path / MARK) if MARK in found else {}
        for name in found:
            if name != MARK and known.get(name) != _digest(path / name):
                raise InputError(
                    f"holds '{name}', which was not written by tercet or was changed since; not replaced",
                    where=str(path), hint="choose another folder, or remove what is there",
                )  # fmt: skip
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def _digests(mark: Path) -> Mapping[str, object]:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_folder(path: Path, texts: Texts) -> None:
    """Writes a folder whole or not at all. Raises InputError as `check_folder` does."""
    path = Path(os.path.realpath(path))
    try:
        with atomic_folder(path) as folder:
            digests = {}
            for name, lines in texts:
                (folder / name).parent.mkdir(exist_ok=True)
                with open(folder / name, "w", encoding="ascii", errors="backslashreplace", newline="\n") as out:
                    out.writelines(f"{line}\n" for line in lines)
                digests[name] = _digest(folder / name)
            (folder / MARK).write_text(json.dumps(digests, indent=1) + "\n", encoding="ascii")
            check_folder(path)  # once more, right before it is replaced
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def netlist_texts(
    program: Program,
    circuits: Sequence[tuple[Library, Coding]],
    given: Given | None,
    on_operation: Callable[[str], None] = lambda name: None,
) -> Texts:
    """All files for a program after `gate_passes`. given: inputs whose activations become vectors; without, they are
    random and extreme ones."""
    listed, whole, read = dict[str, list[Row]](), list[str](), dict[Operation, Maps]()
    for library, coding in circuits:
        folder = _file_name(f"{coding.name}_{library.name}")
        folder += f"_{len(listed)}" if folder in listed else ""
        rows = listed[folder] = list[Row]()
        yield f"{folder}/{cells_file(library)}", cells(library)
        found = [tile for tile in tiles(program, library, coding) if isinstance(tile, Tile) and tile.netlist.gates]
        if given is not None:  # what is read is the same in every coding
            new = [tile for tile in found if tile.operation not in read]
            read |= recorded(program, new, given.runs, VECTORS // 2) if new else {}
        for i, tile in enumerate(found):
            about = nodes_text(source_names(tile.operation.location)) or tile.operation.name
            on_operation(f"{about} as Verilog")
            seen = read.get(tile.operation, ())
            count = len(seen[0]) if seen else 0
            maps = random_maps(tile, program, VECTORS - count, np.random.default_rng(i))
            origin = f"{VECTORS - count} random and extreme"
            if given is not None and count:  # trained layers see few of the numbers that they could see
                maps = [np.concatenate(pair) for pair in zip(seen, maps, strict=True)]
                origin = f"{count} activations of {given.source}, {origin}"
            name = _file_name(f"op{i:02d}_{about.partition(' + ')[0][:40]}_{tile.operation.name.removeprefix('tn.')}")
            rows.append(Row(name, about, tile.netlist.gates, tile.copies, origin))
            said = f"{about}: {tile.operation.name}, {coding.name}, one of {tile.copies} pixels; vectors: {origin}"
            yield from _in(folder, bench_files(tile.netlist, name, digits_for(tile, program, maps), said))
            yield f"{folder}/{name}.blif", blif(tile.netlist, name)
        gates = sum(tile.netlist.gates * tile.copies for tile in found)
        if gates <= WHOLE:
            mapped = map_program(program, library, coding)
            yield from _in(folder, _whole(program, mapped, coding, given))
            cut = [one for one in mapped.unmapped if one.reason != ON_FLOATS]
            without = "".join(f" It is without {one}." for one in cut)
            whole.append(f"- {folder}/whole.v: {mapped.netlist.gates:,} gates; its bench is whole_bench.v.{without}")
        else:
            whole.append(f"- {folder}: left out, as {gates:,} gates are more than {WHOLE:,}.")
    named = ((folder, library) for folder, (library, _) in zip(listed, circuits, strict=True) if listed[folder])
    if (example := next(named, None)) is None:
        raise InputError("no operation has gates of which a netlist could be made")
    folder, library = example
    first = min(listed[folder], key=lambda row: row.gates)
    tables = [line for name, rows in listed.items() for line in (f"## {name}", *_table(rows), "")]
    yield "README.md", [README.format(
        model=program.name, example=folder, first=first.name, cells=cells_file(library),
        tables="\n".join(tables), whole="\n".join(whole),
    )]  # fmt: skip


def _file_name(text: str) -> str:
    """Which is a name in Verilog, too."""
    return re.sub("_+", "_", identifier(text))


def _in(folder: str, files: Mapping[str, Iterable[str]]) -> Texts:
    return ((f"{folder}/{name}", lines) for name, lines in files.items())


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield "| netlist | operation | gates | pixels | vectors |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        about = row.about.replace("|", "\\|")
        yield f"| {row.name} | {about} | {row.gates:,} | {row.copies:,} | {row.vectors} |"


def _whole(
    program: Program, mapped: MappedProgram, coding: Coding, given: Given | None
) -> Mapping[str, Iterable[str]]:
    """The files of a program as one netlist, with what the interpreter has at its borders."""
    if given is None:
        ports = [PortInfo.of(port) for port in program.inputs]
        given = Given.of(random_samples(ports, batched=program.batched, count=SAMPLES), batched=program.batched)
    seen = list(traced(program, given.runs))
    ports = {**mapped.inputs, **mapped.outputs}
    arrays = {value: np.stack([each[value] for each in seen], axis=-1) for value, _ in ports.values()}
    digits = encoded(mapped, arrays)
    digits |= {name: form.encode(arrays[value]) for name, (value, form) in mapped.outputs.items()}
    names = ", ".join(f"{name} {'is read' if name in mapped.inputs else 'is given'}" for name in ports)
    about = f"the operations on integers, {coding.name}; {names}; vectors: activations of {given.source}"
    return bench_files(mapped.netlist, "whole", digits, about) | {"whole.blif": blif(mapped.netlist, "whole")}
