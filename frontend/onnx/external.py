"""External tensor data: only regular files inside the model's own folder, and only as many bytes as the tensor has."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from onnx import TensorProto

from ...ir.errors import ModelError

_HINT = "external data must be a plain file in the folder of the model"


def read_external(proto: TensorProto, size: int, *, where: str, folder: Path | None) -> bytes:
    """The `size` bytes of a tensor whose data lies in another file.

    Raises ModelError: no folder is known, the path leaves the folder or goes through a symlink, the file is missing,
    not regular or too short, offset or length do not fit, or the checksum (SHA-1 of the file) is wrong.
    """
    fields: dict[str, str] = {}
    for entry in proto.external_data:
        if entry.key in fields:
            raise ModelError(f"external data: '{entry.key}' is given twice", where=where)
        fields[entry.key] = entry.value
    offset = _number(fields.get("offset", "0"), "offset", where)
    length = _number(fields["length"], "length", where) if "length" in fields else None
    if length is not None and length != size:
        raise ModelError(f"external data: length is {length}, but the tensor has {size} bytes", where=where)
    if folder is None:
        raise ModelError(
            "has external data", where=where, hint="give the model as a file path, so that it can be found"
        )
    with _open(fields.get("location", ""), folder, where) as file:
        have = os.fstat(file.fileno()).st_size
        if offset + size > have:
            raise ModelError(
                f"external data: asks for bytes {offset} to {offset + size} of a file of {have} bytes", where=where
            )
        if length is None and have - offset != size:
            raise ModelError(f"external data: {have - offset} bytes, but the tensor has {size}", where=where)
        if (checksum := fields.get("checksum")) is not None:
            digest = _sha1(file)
            if digest != checksum.lower():
                raise ModelError(f"external data: checksum is {checksum}, but the file's is {digest}", where=where)
        file.seek(offset)
        return file.read(size)


def _sha1(file: BinaryIO) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _number(text: str, key: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(f"external data: {key} is not a whole number >= 0: '{text[:40]}'", where=where)
    return int(text)


def _open(location: str, folder: Path, where: str) -> BinaryIO:
    """Opens a file below `folder`; no step of the path may be a symlink or lead upwards."""
    path = PurePosixPath(location)
    if not path.parts or "\0" in location or "\\" in location:
        raise ModelError(f"external data: not a file path: '{location}'", where=where, hint=_HINT)
    if path.is_absolute() or PureWindowsPath(location).drive:
        raise ModelError(f"external data: the path is absolute: '{location}'", where=where, hint=_HINT)
    if ".." in path.parts:
        raise ModelError(f"external data: the path leaves the model's folder: '{location}'", where=where, hint=_HINT)
    try:
        step = folder
        for part in path.parts:
            step = step / part
            if step.is_symlink():
                raise ModelError(f"external data: '{location}' goes through a symlink", where=where, hint=_HINT)
        # O_NOFOLLOW and O_NONBLOCK: neither a link put there meanwhile nor a pipe may be opened or waited for.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(step, flags)
    except OSError as error:
        raise ModelError(
            f"external data: cannot open '{location}': {error.strerror or error}", where=where, hint=_HINT
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelError(f"external data: '{location}' is not a regular file", where=where, hint=_HINT)
    return os.fdopen(descriptor, "rb")
