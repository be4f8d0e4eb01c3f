"""Files that a user asked for: written whole or not at all, and plain errors where they cannot be."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ...ir.atomic import atomic_file, check_writable
from ...ir.errors import InputError


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Writes a file by atomic rename. Raises InputError where that fails."""
    try:
        with atomic_file(Path(path)) as file:
            file.write(data)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from error
    return Path(path)


def check_outputs(*paths: str | Path | None, read: Iterable[object] = (), folder: str | Path | None = None) -> None:
    """Raises InputError for a file that cannot be written, before the work that it is to hold, for one that is given
    twice, and for one in a folder of other results. None is no file. read: what is read meanwhile, among it paths,
    which are not written over."""
    given = [Path(path).resolve() for path in paths if path is not None]
    inputs = [Path(each).resolve() for each in read if isinstance(each, str | Path)]
    for path in paths:
        if path is None:
            continue
        own = Path(path).resolve()
        if own in inputs:
            raise InputError("is read, and would be written over", where=str(path), hint="choose another file")
        if folder is not None and own.is_relative_to(Path(folder).resolve()):
            raise InputError(f"lies in {folder}, which is for other results alone", where=str(path),
                             hint="choose another file")  # fmt: skip
        if given.count(own) > 1:
            raise InputError("is given for two results", where=str(path), hint="choose two files")
        if Path(path).is_dir():
            raise InputError("cannot be written: Is a directory", where=str(path))
        try:
            check_writable(Path(path))
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror or error}", where=str(path)) from error


def write_json(path: str | Path, value: Mapping[str, Any]) -> Path:
    return write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def write_arrays(folder: str | Path, arrays: Mapping[str, np.ndarray]) -> list[Path]:
    """Writes NAME.npy for every array; characters that file names had better not have are percent-encoded."""
    written = []
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        written.append(write_bytes(Path(folder) / f"{_file_name(name)}.npy", buffer.getvalue()))
    return written


def _file_name(name: str) -> str:
    quoted = quote(name, safe=" ()[]+,=@")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted
