"""core.c through ctypes: compiled once per source and compiler into the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ....ir.errors import ToolchainError
from ....ir.host import scratch_folder
from ..toolchain import COMMON_FLAGS, LINK_FLAGS, Compiler, compile_shared, find_compiler

SOURCES = ("core.c", "moves.h")
ROWS, COLUMNS = 0, 1

_long, _pointer = ctypes.c_int64, ctypes.c_void_p
SIGNATURES: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "search_new": (_pointer, (_long, _long, _pointer, ctypes.c_uint64)),
    "search_free": (None, (_pointer,)),
    "search_fold": (None, (_pointer, _long)),
    "search_merge": (_long, (_pointer, _long, _long)),
    "search_improve": (_long, (_pointer, _long, _long, _long, _long, ctypes.c_double)),
    "search_lines": (_long, (_pointer, ctypes.c_int)),
    "search_entries": (_long, (_pointer, ctypes.c_int)),
    "search_read": (None, (_pointer, ctypes.c_int, _pointer, _pointer)),
}


class NativeSearch:
    """The state of one search, see core.c. Not for use by two threads at once."""

    def __init__(self, weights: npt.NDArray[np.int8], seed: int) -> None:
        """weights: ternary int8 [rows, columns]. Raises ToolchainError when there is no C compiler."""
        self._handle = None
        self._core = library()
        dense = np.ascontiguousarray(weights, dtype=np.int8)
        self._handle = self._core.search_new(*dense.shape, dense.ctypes.data, seed)

    def fold(self, size: int) -> None:
        self._core.search_fold(self._handle, size)

    def merge(self, lift: int, row_weight: int) -> int:
        return self._core.search_merge(self._handle, lift, row_weight)

    def improve(self, lift: int, row_weight: int, most: int, trials: int, seconds: float) -> int:
        return self._core.search_improve(self._handle, lift, row_weight, most, trials, seconds)

    def read(self, side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(start, entry) of the lines of a side."""
        start = np.empty(self._core.search_lines(self._handle, side) + 1, dtype=np.int64)
        entry = np.empty(self._core.search_entries(self._handle, side), dtype=np.int32)
        self._core.search_read(self._handle, side, start.ctypes.data, entry.ctypes.data)
        return start, entry

    def __del__(self) -> None:
        if self._handle is not None:
            self._core.search_free(self._handle)


def compiled_search() -> type[NativeSearch] | None:
    """The search, or None where there is no C compiler."""
    try:
        library()
    except ToolchainError:
        return None
    return NativeSearch


@cache
def library() -> ctypes.CDLL:
    """The compiled core. Raises ToolchainError when there is no C compiler or it fails."""
    here, compiler = Path(__file__).parent, find_compiler()
    sources = {name: (here / name).read_bytes() for name in SOURCES}
    core = _load(sources, compiler)
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(core, name)
        function.restype, function.argtypes = result, arguments
    return core


def _load(sources: dict[str, bytes], compiler: Compiler) -> ctypes.CDLL:
    what = repr((sorted(sources.items()), compiler, COMMON_FLAGS, LINK_FLAGS, platform.machine()))
    name = f"sum_merge-{hashlib.sha256(what.encode()).hexdigest()[:16]}.so"
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tercet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                built = compile_shared(sources, Path(work), jobs=1, compiler=compiler)
                os.replace(built, folder / name)  # whole or not at all, whoever else compiles it now
        return ctypes.CDLL(str(folder / name))
    except OSError:  # a home that cannot be written or holds no programs: compile for this process alone
        with scratch_folder() as work:
            try:
                return ctypes.CDLL(str(compile_shared(sources, work, jobs=1, compiler=compiler)))
            except OSError as error:
                raise ToolchainError(f"cannot load the compiled search: {error}") from error
