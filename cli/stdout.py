"""Standard output as a command needs it: every text can be written, and where nothing can be, the error says so.

Names in models are free text, which a terminal may not be able to show: what its encoding lacks is escaped, and so are
control characters, which could change what is on the screen.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from ..ir.errors import TercetError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Control characters but line ends and tabs, and marks that turn round the direction of the text after them."""
_COLORED = re.compile(rf"(\033\[(?:0|31|32)m)|{_CONTROL.pattern}")
"""The first group is what `progress.colored` writes."""


class OutputError(TercetError):
    """Standard output takes nothing more."""


class Output:
    """A text stream whose failures are OutputError; but a reader that leaves is BrokenPipeError, which is no failure.

    stream: None where standard output is closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _failures():
            return self._open().write(_COLORED.sub(_kept_or_escaped, text))

    def flush(self) -> None:
        if self._stream is not None:
            with _failures():
                self._stream.flush()

    def _open(self) -> TextIO:
        if self._stream is None:
            raise OutputError("standard output is closed", hint="send it to a file, or to /dev/null with --quiet")
        return self._stream

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def print_error(text: str) -> None:
    """A line on standard error, and what follows it, indented: a line break in a name begins no line of its own."""
    print(re.sub(r"\n(?!  )", "\n  ", _CONTROL.sub(_escaped, text)), file=sys.stderr)


def _kept_or_escaped(found: re.Match[str]) -> str:
    return found[1] or _escaped(found)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror or error}") from error


@contextmanager
def safe_output() -> Iterator[None]:
    """Standard output and error escape what their encoding lacks, and fail as `Output` says."""
    for number in range(3):
        _open_if_closed(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    with redirect_stdout(Output(sys.stdout)):  # type: ignore[type-var]
        yield


def _open_if_closed(number: int) -> None:
    """A closed standard stream's number would go to the next file that is opened, an artifact say."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)


def discard_output() -> None:
    """Sends what standard output still holds to nowhere, so that Python's exit does not fail over it again."""
    stream = sys.__stdout__
    if stream is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
