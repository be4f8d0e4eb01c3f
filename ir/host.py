"""The machine this process runs on: its CPU, as far as compiled code depends on it, its memory and its
temporary folder."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import TercetError

CPUINFO = Path("/proc/cpuinfo")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cpu_features() -> frozenset[str]:
    """The feature flags of this machine's CPU as Linux names them; empty where the system does not list them."""
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return frozenset(found.partition(":")[2].split())


def memory_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private folder for the time of the block. Raises TercetError where it cannot be made, or is full."""
    try:
        made = tempfile.TemporaryDirectory(prefix="tercet-")
    except OSError as error:
        raise _unusable(error) from error
    with made as folder:
        try:
            yield Path(folder)
        except OSError as error:
            if error.errno in _FULL:
                raise _unusable(error) from error
            raise


def _unusable(error: OSError) -> TercetError:
    return TercetError(
        f"the temporary folder cannot be used: {error.strerror or error}",
        where=str(error.filename or tempfile.gettempdir()),
        hint="make space there, or set TMPDIR to another folder",
    )
