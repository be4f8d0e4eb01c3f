"""Whether this machine can run a library: its architecture and CPU features, asked before any code is mapped."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from ...ir.errors import ArtifactError
from ...ir.host import cpu_features
from ..artifact.manifest import TargetInfo
from ..artifact.schema import ALTERED

ELF_MACHINES = {3: "i686", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


def check_targets(targets: Sequence[TargetInfo], where: str) -> None:
    """Raises ArtifactError where this machine can run none, with what it lacks for the last, which needs least."""
    for target in targets[:-1]:
        with suppress(ArtifactError):
            check_target(target, where)
            return
    check_target(targets[-1], where)


def check_target(target: TargetInfo, where: str) -> None:
    """Raises ArtifactError with what this machine lacks."""
    machine = platform.machine()
    if target.machine not in ("any", machine):
        raise ArtifactError(
            f"made for {target.machine} machines (target {target.name}); this is {machine}",
            where=where,
            hint="compile with --target native on this machine",
        )
    have = cpu_features()
    if missing := [feature for feature in target.features if feature not in have]:
        raise ArtifactError(
            f"made for target {target.name}; this CPU lacks {', '.join(missing)}",
            where=where,
            hint="compile with --target native on this machine, or --target generic",
        )


def check_library(library: bytes, where: str) -> None:
    """Refuses a library that this system's loader cannot map, on systems that use ELF, and one that is cut off, whose
    end the loader would map too: to read there ends the process."""
    if platform.system() != "Linux":
        return
    if len(library) < 64 or library[:4] != b"\x7fELF":
        raise ArtifactError("the library is not an ELF library", where=where, hint="compile it on or for Linux")
    order: Literal["little", "big"] = "big" if library[5] == 2 else "little"
    number = int.from_bytes(library[18:20], order)
    if (made_for := ELF_MACHINES.get(number, f"ELF machine {number}")) != platform.machine():
        raise ArtifactError(
            f"the library is machine code for {made_for}; this is {platform.machine()}",
            where=where,
            hint="compile with --target native on this machine",
        )
    if _end_of_segments(library, order) > len(library):
        raise ArtifactError(f"the library is cut off after {len(library)} bytes", where=where, hint=ALTERED)


def _end_of_segments(library: bytes, order: Literal["little", "big"]) -> int:
    """Up to where the loader maps the file: the end of its table of segments, or of the last of them."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(library[at : at + size], order)

    wide = library[4] == 2
    word, table, sizes = (8, 0x20, 0x36) if wide else (4, 0x1C, 0x2A)
    first, size, count = number(table, word), number(sizes, 2), number(sizes + 2, 2)
    end = first + size * count
    if end > len(library):
        return end
    for at in range(first, end, max(size, 1)):
        end = max(end, number(at + word, word) + number(at + 4 * word, word))
    return end
