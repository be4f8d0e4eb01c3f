"""The IR after every pass, in a folder."""

from __future__ import annotations

from pathlib import Path

from ..ir.errors import InputError
from ..ir.program import Program

IMPORT_LABEL = "00-import"


def save_program(program: Program, folder: Path) -> None:
    """Writes program.mlir and weights.npz. Raises InputError where that cannot be done."""
    try:
        program.save(folder)
    except OSError as error:
        raise InputError(f"cannot write the IR: {error.strerror}", where=str(folder)) from error


class IRDump:
    """Writes DIR/LABEL/program.mlir and weights.npz after every pass; nothing without a folder."""

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def write(self, label: str, program: Program) -> None:
        if self.folder is not None:
            save_program(program, self.folder / label)
