"""Outputs that appear whole or not at all: written beside their place under a hidden name, then renamed into it.

Devices, pipes and the like stay what they are, and are written to. A link stays, and what it leads to is replaced.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def _beside(path: Path) -> Path:
    return path.parent / f".{path.name[:40]}.{secrets.token_hex(6)}.tmp"  # a name has 255 bytes at most


def _stays(path: Path) -> bool:
    """True for what no other file may take the place of: devices, pipes, and what this process has open."""
    name = os.path.abspath(path)
    own = name.startswith(("/proc/", "/dev/fd/")) or name in ("/dev/stdout", "/dev/stderr")
    return own or (path.exists() and not path.is_file())


def check_writable(path: Path) -> None:
    """Raises OSError where a file or folder of that path cannot be made now. Leaves nothing behind."""
    if _stays(path) and path.exists() and not path.is_dir():
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that replaces `path` when the block ends without an exception, and vanishes otherwise; devices and pipes
    are written to."""
    if _stays(path):
        with open(path, "wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder that replaces the folder `path` when the block ends without an exception, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _beside(path), _beside(path)
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except BaseException:
            if old.exists():
                os.rename(old, path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if path.exists():  # else a second interruption hit the swap: keep what can be saved
            shutil.rmtree(old, ignore_errors=True)
