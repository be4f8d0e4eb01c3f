"""What Yosys found, kept by the content of everything that it was found from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ....ir.atomic import atomic_file
from .tool import OutOfTimeError, Yosys


@dataclass(frozen=True)
class Outcome:
    """Of a run. text: what the script wrote; None where it ran out of time, after `seconds`."""

    text: str | None
    seconds: float


@dataclass(frozen=True)
class Cache:
    """A file for each run, in a folder; None keeps nothing. A folder that cannot be written does not matter, and
    neither does a file that is damaged."""

    folder: Path | None

    def run(self, yosys: Yosys, script: str, files: Mapping[str, str], limit: float) -> Outcome:
        """The outcome of a script, from an earlier run where there was one: one that took no longer than limit seconds,
        or ran out of time with no less. Raises ToolchainError where Yosys fails, which is not kept."""
        path = self._path(yosys, script, files)
        known = _read(path)
        if known is not None and (known.seconds >= limit if known.text is None else known.seconds <= limit):
            return known
        try:
            outcome = Outcome(*yosys.run(script, files, limit))
        except OutOfTimeError:
            outcome = Outcome(None, limit)
        if path is not None and (known is None or known.text is None):
            with suppress(OSError), atomic_file(path) as file:
                file.write(json.dumps(asdict(outcome)).encode())
        return outcome

    def _path(self, yosys: Yosys, script: str, files: Mapping[str, str]) -> Path | None:
        if self.folder is None:
            return None
        what = json.dumps([yosys.version, script, sorted(files.items())])
        return self.folder / f"{hashlib.sha256(what.encode()).hexdigest()}.json"


def _read(path: Path | None) -> Outcome | None:
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        text, seconds = found["text"], found["seconds"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    fits = (text is None or isinstance(text, str)) and isinstance(seconds, int | float)
    return Outcome(text, float(seconds)) if fits else None
