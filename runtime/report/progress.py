"""What a command shows while it works: on a terminal a line that comes after a second and goes at the end; elsewhere
one line for each stage of over a second. All of it on stderr."""

from __future__ import annotations

import re
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from ...ir.progress import listening

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

PATIENCE = 1.0
"""Seconds before anything is shown."""


def console(stream: TextIO, color: str) -> Console:
    """A rich console. color: auto (rich looks at the terminal, NO_COLOR and FORCE_COLOR), always or never."""
    from rich.console import Console

    if color == "always":
        return Console(file=stream, force_terminal=True, color_system="standard", highlight=False)
    return Console(file=stream, no_color=True if color == "never" else None, highlight=False)


def colored(text: str, stream: TextIO, color: str) -> str:
    """The text with `ok` in green and words of failure in red, where the stream shows colours."""
    on = color == "always" or (color == "auto" and stream.isatty() and console(stream, color).color_system is not None)
    if not on or (color == "auto" and console(stream, color).no_color):
        return text
    text = re.sub(r"\b(FAILED|DIFFERS|DIFFER)\b", "\033[31m\\1\033[0m", text)
    return re.sub(r"^( *)(ok)\b", "\\1\033[32m\\2\033[0m", text, flags=re.MULTILINE)


class Progress:
    """Use as a context manager; `begin` says what is being done, `done` what has ended. Long work inside tells how far
    it has come (`ir/progress.py`)."""

    def __init__(self, *, quiet: bool, color: str = "auto") -> None:
        self._quiet, self._color = quiet, color
        self._lock = threading.Lock()
        self._text = "working"
        self._status: Status | None = None
        self._timer: threading.Timer | None = None
        self._listening = listening(self.begin)

    def __enter__(self) -> Progress:
        self._listening.__enter__()
        if not self._quiet and sys.stderr.isatty():
            self._timer = threading.Timer(PATIENCE, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.__exit__(kind, error, trace)
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            if self._status is not None:
                self._status.stop()
                self._status = None

    def begin(self, what: str) -> None:
        """What is being done from now on."""
        self._text = what
        with self._lock:
            if self._status is not None:
                self._status.update(what)

    def done(self, stage: str, seconds: float) -> None:
        """A stage has ended after so many seconds."""
        self.begin(f"compiling: {stage} done")
        if seconds >= PATIENCE and not self._quiet and not sys.stderr.isatty():
            print(f"{stage}: {seconds:.1f} s", file=sys.stderr)

    def print(self, text: str) -> None:
        """A result on stdout, with the progress line out of its way."""
        with self._lock:
            if self._status is not None:
                self._status.stop()
            print(text, end="")
            sys.stdout.flush()
            if self._status is not None:
                self._status.start()

    def _show(self) -> None:
        shown = console(sys.stderr, self._color)  # imports rich; only when there is time for it
        with self._lock:
            if self._timer is None:
                return
            self._status = shown.status(self._text, spinner="line")
            self._status.start()
