"""What is an artifact, and what may be chosen of one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

from ..ir.errors import InputError
from ..runtime.artifact.artifact import SUFFIX
from .options import DEFAULTS, CompileOptions


def refuse_choices(options: CompileOptions) -> None:
    """Raises InputError where something was chosen for an artifact, which is compiled already."""
    if options != DEFAULTS:
        raise InputError(
            f"an artifact is compiled already, so this does nothing: {options}", hint="leave it out, or give the model"
        )


def artifact_target(options: CompileOptions) -> str | None:
    """The target that was chosen of an artifact, None where none was. Raises InputError for other choices."""
    refuse_choices(replace(options, target=DEFAULTS.target))
    return None if options.target == DEFAULTS.target else options.target


def is_artifact(path: object) -> TypeGuard[str | Path]:
    """By content, not by name: a folder, or a file that begins like a zip. A missing file is judged by its name.
    PyTorch's zip files are models; those without a graph the import then refuses with a message of its own."""
    if not isinstance(path, str | os.PathLike):
        return False
    path = Path(path)
    if path.is_dir():
        return True
    try:
        with open(path, "rb") as file:
            begins = file.read(4) == b"PK\x03\x04" and path.suffix not in (".pt", ".pt2", ".pth", ".npz", ".keras")
            return begins or path.suffix == SUFFIX
    except OSError:
        return path.suffix == SUFFIX
