"""Work in a process of its own, of code that signals do not end: when this process is interrupted, the worker and all
that it has started end at once, and their temporary files go. When it is killed, they end too."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from .errors import ToolchainError
from .host import scratch_folder

SECONDS = 0.2
"""Between looks at whether a signal has come: one that comes while the main thread goes to sleep does not wake it."""

START = "import sys; from importlib import import_module; import_module(sys.argv[1]).main()"
REQUEST, LOG = "request.json", "log.txt"


def run_worker(
    module: str, request: object, listener: Callable[[Any], None], *, what: str, keep: Sequence[int] = ()
) -> None:
    """Runs `main` of a module in a process group of its own; what that is to call is `serve`. request, and what the
    listener is told: values of JSON. keep: numbers of files that the worker holds open. Raises ToolchainError where it
    fails; what: it was doing."""
    with scratch_folder() as folder:
        (folder / REQUEST).write_text(json.dumps(request))
        with open(folder / LOG, "wb") as log:
            reader, writer = os.pipe()
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", START, module, str(folder / REQUEST), str(writer)],
                    env=_environment(folder), stdin=subprocess.PIPE, stdout=log, stderr=log,
                    pass_fds=(writer, *keep), process_group=0,
                )  # fmt: skip
            except BaseException:
                os.close(reader)
                raise
            finally:
                os.close(writer)
        try:
            with open(reader, "rb", buffering=0) as pipe:
                for line in _lines(pipe.fileno()):
                    listener(json.loads(line))
        finally:
            _end(process)
        if process.returncode:
            said = (folder / LOG).read_text(errors="replace").strip().splitlines() or ["no message"]
            raise ToolchainError(f"{what} ended with code {process.returncode}: {said[-1]}")


def _environment(folder: Path) -> dict[str, str]:
    """Modules are found where this process finds them; temporary files are made in the folder."""
    places = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return {**os.environ, "PYTHONPATH": places, "PYTHONSAFEPATH": "1", "TMPDIR": str(folder.resolve())}


def _lines(file: int) -> Iterator[bytes]:
    """What comes on it until it ends."""
    rest = b""
    while True:
        if not select.select([file], [], [], SECONDS)[0]:
            continue
        data = os.read(file, 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all of its group. Of one that has ended itself this does not change the exit code."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def serve(work: Callable[[Any, Callable[[object], None]], None]) -> NoReturn:
    """What a worker's `main` calls: does the work that was asked for, and ends. work: takes the request, and what tells
    the listener something."""
    request, writer = json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3])
    os.set_inheritable(writer, False)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()

    def send(message: object) -> None:
        data = json.dumps(message).encode() + b"\n"
        with lock:
            while data:
                data = data[os.write(writer, data) :]

    code = 0
    try:
        work(request, send)
    except Exception:
        traceback.print_exc()
        code = 1
    os._exit(code)  # without what libraries do at the end, which may wait for what is killed now anyway


def _end_with_parent() -> None:
    """Its end closes the pipe."""
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
