"""The C of a model for several targets, for one library. The weights are stored once where targets pack them alike.

Every target has a folder with the C of its kernels, which reads as if there were no other target. The names of its
functions are made distinct when it is compiled, by a header of macros that comes before each file. What is the same for
all targets, the headers of the engines and the weights, lies beside the folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ir.names import identifier
from ...ir.program import Program
from .emit import DEFINITION, TARGET_FILE, WEIGHTS_FILE, WEIGHTS_SOURCE, Blob, emit_model
from .plans import Plans
from .target import Target
from .text import comment

SYMBOLS_FILE = "tercet_symbols.h"


@dataclass(frozen=True)
class Part:
    """A program at kernel level whose memory is planned, and what it was planned for."""

    program: Program
    target: Target
    plans: Plans


@dataclass(frozen=True)
class EmittedTargets:
    """The C of one or more parts. sources: path -> content, without the runtime's files. layers: of each part, one
    entry per step. nodes: path -> source layers, for compiler errors. definitions: of each part, its name at link
    level. flags: of each target, by its name, what its files are compiled with beside the target's own flags.
    gcc_flags: path -> what gcc compiles this file with beside those."""

    sources: dict[str, str | bytes]
    layers: list[list[dict[str, object]]]
    nodes: dict[str, str]
    definitions: list[str]
    flags: dict[str, tuple[str, ...]]
    gcc_flags: dict[str, tuple[str, ...]]


def emit_targets(parts: Sequence[Part]) -> EmittedTargets:
    """C for the same model, planned for each target; for one alone exactly the files of `emit_model`.

    Raises IRError as `emit_model` does.
    """
    if len(parts) == 1:
        (part,) = parts
        emitted = emit_model(part.program, part.target, part.plans)
        flags = {part.target.name: ()}
        return EmittedTargets(
            emitted.sources, [emitted.layers], emitted.nodes, [DEFINITION], flags, emitted.gcc_flags
        )
    made, blob = EmittedTargets({}, [], {}, [], {}, {}), Blob()
    for part in parts:
        folder = part.target.name
        emitted = emit_model(part.program, part.target, part.plans, blob=blob)
        for file, content in emitted.sources.items():
            made.sources[file if _common(file) else f"{folder}/{file}"] = content
        symbols = [*(str(layer["symbol"]) for layer in emitted.layers), DEFINITION]
        made.sources[f"{folder}/{SYMBOLS_FILE}"] = _symbols_header(part.target, symbols)
        made.nodes.update({f"{folder}/{file}": nodes for file, nodes in emitted.nodes.items()})
        made.gcc_flags.update({f"{folder}/{file}": flags for file, flags in emitted.gcc_flags.items()})
        made.layers.append(emitted.layers)
        made.definitions.append(_linked(part.target, DEFINITION))
        made.flags[folder] = include_flags(folder)
    return made


def include_flags(folder: str) -> tuple[str, ...]:
    """What the C of one target of several is compiled with, called from beside its folder."""
    return f"-I{folder}", "-I.", "-include", SYMBOLS_FILE


def _common(file: str) -> bool:
    """Whether a file is the same for all targets: the weights (those of the last target are complete) and headers."""
    return file in (WEIGHTS_FILE, WEIGHTS_SOURCE) or (file.endswith(".h") and file != TARGET_FILE)


def _linked(target: Target, symbol: str) -> str:
    return f"{identifier(target.name)}_{symbol}"


def _symbols_header(target: Target, symbols: Sequence[str]) -> str:
    title = comment(f"What the functions for {target.name} are called in a library for several targets.")
    return "\n".join([title, *(f"#define {symbol} {_linked(target, symbol)}" for symbol in symbols), ""])
