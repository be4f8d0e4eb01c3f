"""One command from its arguments to its exit code.

Exit codes: 0 fine, 1 a check failed, 2 usage or input error, 70 a bug in tercet, 130 interrupted, 129 and 143
ended by SIGHUP and SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ..ir.errors import InputError, TercetError
from ..version import __version__
from .options import USAGE, build_parser
from .verbs import FINE, VERBS

BUG, INTERRUPTED = 70, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Gives its exit code; only argparse raises SystemExit (for --help and bad usage)."""
    from .stdout import safe_output

    with safe_output():
        parser = build_parser(VERBS)
        if "_ARGCOMPLETE" in os.environ:
            import argcomplete

            argcomplete.autocomplete(parser)
        return _run(parser, argv)


def _run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    from .signals import Terminated, tidy_ending
    from .stdout import OutputError, discard_output, print_error

    try:
        try:
            options = parser.parse_args(argv)
            with tidy_ending():
                _check_working_directory()
                return options.verb(options)
        finally:
            sys.stdout.flush()
    except OutputError as error:
        discard_output()
        print_error(f"tercet: {error}")
        return USAGE
    except TercetError as error:
        return _complain(f"tercet: {error}", USAGE)
    except MemoryError as error:
        what = f"not enough memory: {error}" if str(error) else "not enough memory"
        return _complain(f"tercet: {what}\n  hint: fewer samples or a smaller batch need less", USAGE)
    except KeyboardInterrupt:
        return _complain("tercet: interrupted", INTERRUPTED)
    except Terminated as signal:
        return _complain("tercet: terminated", 128 + signal.number)
    except BrokenPipeError:  # the reader had enough (`tercet inspect .. | head`)
        discard_output()
        return FINE
    except Exception:
        import traceback

        traceback.print_exc()
        return _complain(f"tercet {__version__}: this is a bug; please report it with the lines above", BUG)


def _check_working_directory() -> None:
    """Raises InputError where it was deleted: libraries ask for it in the middle of their imports."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError("the working directory no longer exists", hint="change to another folder") from error


def _complain(text: str, code: int) -> int:
    """The code, after the text on standard error; what standard output could not take by now is lost anyway."""
    from .stdout import OutputError, discard_output, print_error

    try:
        sys.stdout.flush()
    except (OutputError, BrokenPipeError):
        discard_output()
    print_error(text)
    return code
