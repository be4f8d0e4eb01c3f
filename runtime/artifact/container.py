"""The files of an artifact as bytes, from a zip or a folder. Every trick a hostile archive can play is refused here."""

from __future__ import annotations

import errno
import io
import os
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn, Protocol

from ...ir.errors import ArtifactError
from ...ir.weights import UNREADABLE
from .manifest import MOST_FILES
from .schema import ALTERED

MOST_BYTES = 16 << 30
MOST_NAME_CHARACTERS = 255
CHUNK_BYTES = 1 << 20
MOST_RATIO, SMALL_BYTES = 200, 64 << 20  # a small array of zeros may compress as well as it likes
TRUNCATED = "the file is damaged or was cut short; copy it or compile the model again"


class Container(Protocol):
    """Named files. sizes: bytes of every file."""

    sizes: Mapping[str, int]

    def chunks(self, name: str) -> Iterator[bytes]: ...


def open_container(path: Path) -> Container:
    """The files of a zip or folder. Reads no contents. Raises ArtifactError for anything unsafe."""
    if path.is_dir():
        return FolderContainer(path)
    if not path.exists():
        raise ArtifactError("no such file or folder", where=str(path))
    if not path.is_file():
        raise ArtifactError("not a regular file or folder", where=str(path))
    if path.suffix in (".onnx", ".pt", ".pth"):
        raise ArtifactError("a model, not an artifact", where=str(path), hint="compile it first: `tercet compile`")
    return ZipContainer(path)


def check_name(name: str, where: str) -> str:
    """The name itself when it is a plain relative path with '/' between its parts, no matter the system."""
    problem = ""
    if "\\" in name:
        problem = "holds a backslash"
    elif name.startswith("/") or name[1:2] == ":":
        problem = "is an absolute path"
    elif ".." in name.split("/"):
        problem = "climbs out of the artifact with '..'"
    elif any(part in ("", ".") for part in name.split("/")):
        problem = "is a folder, or has an empty part or '.'"
    elif not name.isprintable():
        problem = "holds control characters"
    elif len(name) > MOST_NAME_CHARACTERS:
        problem = f"has more than {MOST_NAME_CHARACTERS} characters"
    if problem:
        raise ArtifactError(f"file name {name[:100]!r} {problem}", where=where, hint=ALTERED)
    return name


def _check_sizes(sizes: Mapping[str, int], where: str) -> None:
    if len(sizes) > MOST_FILES:
        raise ArtifactError(f"{len(sizes)} files, at most {MOST_FILES} are read", where=where, hint=ALTERED)
    if (total := sum(sizes.values())) > MOST_BYTES:
        raise ArtifactError(f"{total} bytes of files, at most {MOST_BYTES} are read", where=where, hint=ALTERED)


class ZipContainer:
    """A zip whose entries are all stored: nothing to unpack means that no small file can become a huge one."""

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        self._entries: dict[str, zipfile.ZipInfo] = {}
        try:
            self._archive = zipfile.ZipFile(path)  # stays open: what is read later is what is checked here
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
            raise ArtifactError(f"not a complete zip file: {error}", where=self._where, hint=TRUNCATED) from error
        except OSError as error:
            raise ArtifactError(f"cannot be read: {error.strerror}", where=self._where) from error
        if min((info.header_offset for info in self._archive.infolist()), default=1) > 0:
            # the zip's own list, at its end, is missing, and that of a weight store within it was found
            raise ArtifactError("the end of the file is missing", where=self._where, hint=TRUNCATED)
        for info in self._archive.infolist():
            name = check_name(info.orig_filename, self._where)
            if name in self._entries:
                self._refuse(f"two entries are named '{name}'")
            self._check_entry(name, info)
            self._entries[name] = info
        self.sizes: Mapping[str, int] = {name: info.file_size for name, info in self._entries.items()}
        _check_sizes(self.sizes, self._where)
        if sum(self.sizes.values()) > path.stat().st_size:
            self._refuse("entries share the same bytes: together they are larger than the file (a zip bomb)")

    def _check_entry(self, name: str, info: zipfile.ZipInfo) -> None:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            self._refuse(f"entry '{name}' is a symbolic link")
        if kind not in (0, stat.S_IFREG):
            self._refuse(f"entry '{name}' is not a regular file")
        if info.header_offset < 0:
            raise ArtifactError("the beginning of the file is missing", where=self._where, hint=TRUNCATED)
        if info.flag_bits & 0x1:
            self._refuse(f"entry '{name}' is encrypted")
        if info.compress_type != zipfile.ZIP_STORED:
            ratio = info.file_size / max(info.compress_size, 1)
            self._refuse(f"entry '{name}' is compressed ({ratio:.0f} to 1); artifacts are stored")
        if info.file_size != info.compress_size:
            self._refuse(f"entry '{name}' claims {info.file_size} bytes but stores {info.compress_size}")

    def _refuse(self, what: str) -> NoReturn:
        raise ArtifactError(what, where=self._where, hint=ALTERED)

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            with self._archive.open(self._entries[name]) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, KeyError) as error:
            raise ArtifactError(f"entry '{name}' cannot be read: {error}", where=self._where, hint=TRUNCATED) from error
        except OSError as error:
            raise ArtifactError(f"cannot be read: {error.strerror}", where=self._where) from error


class FolderContainer:
    """A folder of regular files. Links are not followed, whatever happens to the folder meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._where = str(path)
        sizes: dict[str, int] = {}
        try:
            self._scan(path, PurePosixPath(), sizes)
        except OSError as error:
            raise ArtifactError(f"cannot be read: {error.strerror}", where=self._where) from error
        self.sizes: Mapping[str, int] = sizes
        _check_sizes(sizes, self._where)

    def _scan(self, folder: Path, inside: PurePosixPath, sizes: dict[str, int]) -> None:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                name = check_name(str(inside / entry.name), self._where)
                if entry.is_symlink():
                    raise ArtifactError(f"'{name}' is a symbolic link", where=self._where, hint=ALTERED)
                if entry.is_dir(follow_symlinks=False):
                    self._scan(Path(entry.path), inside / entry.name, sizes)
                elif entry.is_file(follow_symlinks=False):
                    sizes[name] = entry.stat(follow_symlinks=False).st_size
                else:
                    raise ArtifactError(f"'{name}' is not a regular file", where=self._where, hint=ALTERED)
                if len(sizes) > MOST_FILES:
                    _check_sizes(sizes, self._where)

    def chunks(self, name: str) -> Iterator[bytes]:
        if name not in self.sizes:
            raise ArtifactError(f"there is no file '{name}'", where=self._where, hint=ALTERED)
        left = self.sizes[name] + 1  # a file that grew is noticed, not read to the end
        try:
            with self._open(name) as file:
                while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            what = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
            raise ArtifactError(f"'{name}' {what}", where=self._where, hint=ALTERED) from error

    def _open(self, name: str) -> BinaryIO:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # opening a FIFO put in its place must not hang
        return os.fdopen(os.open(self._path / name, flags), "rb")


def check_store(data: bytes, where: str) -> None:
    """Refuses a weight store (.npz) that would unpack to absurd sizes. Its arrays are compressed, so ratios count."""
    try:
        infos = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except UNREADABLE as error:
        raise ArtifactError(f"not a weight store: {error}", where=where, hint=TRUNCATED) from error
    for info in infos:
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > SMALL_BYTES and ratio > MOST_RATIO:
            raise ArtifactError(
                f"array '{info.filename[:100]}' unpacks to {info.file_size} bytes, {ratio:.0f} to 1 (a zip bomb)",
                where=where,
                hint=ALTERED,
            )
    if (total := sum(info.file_size for info in infos)) > MOST_BYTES:
        raise ArtifactError(f"arrays unpack to {total} bytes, at most {MOST_BYTES} are read", where=where, hint=ALTERED)
