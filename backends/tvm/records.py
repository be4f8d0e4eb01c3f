"""What tuning measured: TVM's database in a folder, and which functions have no more candidates.

database_workload.json, database_tuning_record.json    TVM's: a function a line, and a measured candidate a line
exhausted.json                                         functions without candidates that were not measured: how many
                                                       were, by the function's hash
lock                                                   held by the run that tunes
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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
        for name in (WORKLOADS, RECORDS):
            with _naming(folder / name):
                _drop_torn_line(folder / name)
        functions = _check_lines(folder / WORKLOADS, _is_workload)
        _check_lines(folder / RECORDS, lambda line: _is_record(line, functions))
        with _naming(folder / EXHAUSTED):
            self._exhausted = _read_exhausted(folder / EXHAUSTED)
        self.reload()

    def reload(self) -> None:
        """What another process has added, too."""
        try:
            self.database = meta_schedule.database.JSONDatabase(work_dir=str(self.folder))
        except Exception as error:  # of kinds of TVM's own
            what = f"TVM cannot read the tuning records {WORKLOADS} and {RECORDS}"
            raise InputError(what, where=str(self.folder), hint=BEGIN_ANEW) from error

    @property
    def lock(self) -> int:
        """The number of the open file: whoever has it open has the records."""
        return self._lock.fileno()

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
        """Not where records of it were lost."""
        return self.count(function) >= self._exhausted.get(_hash(function), float("inf"))

    def mark_exhausted(self, function: Any) -> None:
        """It has no candidates that were not measured."""
        self._exhausted[_hash(function)] = self.count(function)
        with atomic_file(self.folder / EXHAUSTED) as file:
            file.write(json.dumps(self._exhausted, sort_keys=True).encode())

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


BEGIN_ANEW = "move the folder away to begin anew"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors name the file of the records that is at hand."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        hint = "remove the file; it is made anew" if path.name == EXHAUSTED else BEGIN_ANEW
        raise InputError(f"tuning records cannot be read: {what}", where=str(path), hint=hint) from error


def _check_lines(path: Path, is_right: Callable[[Any], bool]) -> int:
    """How many lines there are. Raises InputError for those that are not right, of which TVM would not say where."""
    number = 0
    with _naming(path), open(path, "rb") if path.exists() else nullcontext([]) as lines:
        for number, line in enumerate(lines, 1):
            try:
                right = is_right(json.loads(line))
            except (ValueError, RecursionError):
                right = False
            if not right:
                raise ValueError(f"line {number} is not one that TVM writes")
    return number


def _is_workload(line: Any) -> bool:
    """A hash and a module."""
    return isinstance(line, list) and [type(each) for each in line] == [str, str]


def _is_record(line: Any, functions: int) -> bool:
    """The number of a function, and what was measured."""
    return isinstance(line, list) and [type(each) for each in line] == [int, list] and 0 <= line[0] < functions


def _read_exhausted(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    if isinstance(found, list) and all(isinstance(each, str) for each in found):  # as earlier versions wrote it
        return dict.fromkeys(found, 1)
    if not isinstance(found, dict) or not all(type(each) is int for each in found.values()):
        raise ValueError("expected numbers by hash")
    return found
