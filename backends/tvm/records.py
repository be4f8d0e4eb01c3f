"""What tuning measured: TVM's database in a folder, and which functions have no more candidates.

database_workload.json, database_tuning_record.json    TVM's: a function a line, and a measured candidate a line
exhausted.json                                         hashes of functions without candidates that were not measured
lock                                                   held by the run that tunes
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from ...ir.atomic import atomic_file
from ...ir.errors import InputError
from .package import meta_schedule, structural_hash

WORKLOADS, RECORDS, EXHAUSTED = "database_workload.json", "database_tuning_record.json", "exhausted.json"
LOCK = "lock"
FAILED = 1e9
"""Seconds that TVM gives a candidate that did not run, or more."""


class Records:
    """Of functions, each a module of its own; to be closed, as a context manager too. Raises InputError where the
    folder's files cannot be read, and where another run has them: TVM numbers functions by line, so two would mix
    theirs up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(folder / LOCK, "wb")  # noqa: SIM115
        except OSError as error:
            what, hint = f"tuning records cannot be kept: {error.strerror}", "set $TERCET_CACHE to another folder"
            raise InputError(what, where=str(folder), hint=hint) from error
        try:
            self._load(folder)
        except BaseException:
            self._lock.close()
            raise

    def _load(self, folder: Path) -> None:
        if not _locked(self._lock):
            hint = "wait until it has ended, or set $TERCET_CACHE to another folder"
            raise InputError("another run is tuning with these records", where=str(folder), hint=hint)
        try:
            for name in (WORKLOADS, RECORDS):
                _drop_torn_line(folder / name)
            self.database = meta_schedule.database.JSONDatabase(work_dir=str(folder))
            text = (folder / EXHAUSTED).read_text() if (folder / EXHAUSTED).exists() else "[]"
            self._exhausted = {str(each) for each in json.loads(text)}
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            what = (str(error).strip() or type(error).__name__).splitlines()[0]
            hint = "move the folder away to begin anew"
            raise InputError(f"tuning records cannot be read: {what}", where=str(folder), hint=hint) from error

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def __len__(self) -> int:
        return len(self.database)

    def count(self, function: Any) -> int:
        """Of candidates that were measured, those that failed too."""
        return len(self._of(function))

    def best_seconds(self, function: Any) -> float | None:
        """Of the fastest candidate. None where none ran."""
        found = [_seconds(record) for record in self._of(function)]
        return min((each for each in found if each < FAILED), default=None)

    def is_exhausted(self, function: Any) -> bool:
        return _hash(function) in self._exhausted

    def mark_exhausted(self, function: Any) -> None:
        """It has no candidates that were not measured."""
        self._exhausted.add(_hash(function))
        with atomic_file(self.folder / EXHAUSTED) as file:
            file.write(json.dumps(sorted(self._exhausted)).encode())

    def _of(self, function: Any) -> list[Any]:
        if not self.database.has_workload(function):
            return []
        workload = self.database.commit_workload(function)
        return [record for record in self.database.get_all_tuning_records() if record.workload == workload]


def _locked(file: BinaryIO) -> bool:
    """Whether it is ours until it is closed, or this system has no locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _seconds(record: Any) -> float:
    seconds = [float(each) for each in record.run_secs or ()]
    return sum(seconds) / len(seconds) if seconds else FAILED


def _hash(function: Any) -> str:
    return f"{structural_hash(function) & (1 << 64) - 1:016x}"


def _drop_torn_line(path: Path) -> None:
    """The last line, where a run was killed while it wrote it: TVM would read nothing of the file."""
    data = path.read_bytes() if path.exists() else b""
    if data and not data.endswith(b"\n"):
        with atomic_file(path) as file:
            file.write(data[: data.rfind(b"\n") + 1])
