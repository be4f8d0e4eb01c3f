"""The weight store: named arrays beside the IR text, read from disk only when used."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

import numpy as np

from .errors import IRError

_ALLOWED_KINDS = "biuf"
UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile and numpy raise for damaged .npz files (NotImplementedError is a RuntimeError)."""
MOST_COMPRESSION = 100
"""Members that shrink more than this are stored as they are."""
LEVEL = 2
"""Of compression: the usual one, 6, takes five times as long and leaves ternary weights a sixth smaller."""


class WeightStore(MutableMapping[str, np.ndarray]):
    """Name -> array. Arrays are read-only once stored; a name is never rebound to other values silently.

    On disk: an .npz file without pickles, written byte for byte the same for the same arrays.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        self._arrays: dict[str, np.ndarray] = {}
        self._file: Path | None = None
        self._on_disk: set[str] = set()
        for name, array in (arrays or {}).items():
            self[name] = array

    @classmethod
    def open(cls, path: Path) -> WeightStore:
        """A store over an .npz file. Nothing is read but its directory. Raises IRError for anything else."""
        store = cls()
        try:
            with zipfile.ZipFile(path) as archive:
                names = [n.removesuffix(".npy") for n in archive.namelist()]
        except UNREADABLE as error:
            raise IRError(f"not a weight store: {error}", where=str(path)) from error
        store._file, store._on_disk = path, set(names)
        return store

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._arrays and name in self._on_disk and self._file is not None:
            try:
                with np.load(self._file, allow_pickle=False) as archive:
                    self._arrays[name] = _frozen(archive[name])
            except UNREADABLE as error:
                raise IRError(f"weight '{name}' cannot be read: {error}", where=str(self._file)) from error
        return self._arrays[name]

    def __setitem__(self, name: str, array: np.ndarray) -> None:
        if array.dtype.kind not in _ALLOWED_KINDS:
            raise IRError(f"weight '{name}' has dtype {array.dtype}; expected numbers")
        self._arrays[name] = _frozen(array)

    def __delitem__(self, name: str) -> None:
        self._on_disk.discard(name)
        del self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._on_disk | set(self._arrays)))

    def __len__(self) -> int:
        return len(self._on_disk | set(self._arrays))

    def add(self, name: str, array: np.ndarray) -> str:
        """Stores an array under `name`, or `name.1`, `name.2`, ... when taken by other values. Returns the name."""
        taken, candidate = 0, name
        while candidate in self:
            have = self[candidate]
            if have.dtype == array.dtype and have.shape == array.shape and have.tobytes() == array.tobytes():
                return candidate
            taken += 1
            candidate = f"{name}.{taken}"
        self[candidate] = array
        return candidate

    def copy(self) -> WeightStore:
        """A store of its own that shares the (read-only) arrays."""
        other = WeightStore()
        other._arrays, other._file, other._on_disk = dict(self._arrays), self._file, set(self._on_disk)
        return other

    def save(self, path: Path) -> None:
        """Writes all arrays to an .npz file."""
        path.write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """All arrays, sorted by name and compressed, as an .npz file; the same bytes for the same arrays."""
        data, entries = self._zipped(set())
        # so regular that a reader would have to take them for a decompression bomb
        regular = {e.filename for e in entries if e.compress_size * MOST_COMPRESSION < e.file_size}
        return self._zipped(regular)[0] if regular else data

    def _zipped(self, stored: set[str]) -> tuple[bytes, list[zipfile.ZipInfo]]:
        """An .npz file, and its entries. stored: those that are not compressed."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in self:
                member = io.BytesIO()
                np.lib.format.write_array(member, self[name], allow_pickle=False)
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                if entry.filename not in stored:
                    entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, member.getvalue(), compresslevel=LEVEL)
        return buffer.getvalue(), archive.infolist()


def _frozen(array: np.ndarray) -> np.ndarray:
    """The array itself when it already is contiguous and read-only, else a read-only copy."""
    if array.flags.c_contiguous and not array.flags.writeable:
        return array
    copy = np.array(array, order="C", copy=True)
    copy.flags.writeable = False
    return copy
