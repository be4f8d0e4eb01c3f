"""Work in a process of its own: what it says is heard, and it ends with the one that asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tercet.ir.errors import ToolchainError
from tercet.ir.interruption import signals_kept
from tercet.ir.worker_process import run_worker

WORKER = """
import os, subprocess, sys, tempfile, time
from tercet.ir.worker_process import serve

def work(request, send):
    if request == "crash":
        os.abort()
    if request == "raise":
        raise ValueError("of the worker")
    if request == "sleep":
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        send([os.getpid(), helper.pid])
        time.sleep(3600)
    print("noise")
    for number in range(request):
        send({"number": number, "text": "ü" * 100_000})

def main():
    serve(work)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_worker.py").write_text(WORKER)
    monkeypatch.syspath_prepend(tmp_path)
    return "a_worker"


def test_what_it_says_is_heard(worker: str, capfd: pytest.CaptureFixture[str]) -> None:
    heard = list[dict[str, object]]()
    run_worker(worker, 5, heard.append, what="testing")
    assert heard == [{"number": number, "text": "ü" * 100_000} for number in range(5)]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("request_", "message"),
    [("raise", "testing ended with code 1: ValueError: of the worker"), ("crash", "testing ended with code -6")],
)
def test_failures_are_said(request_: str, message: str, worker: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        run_worker(worker, request_, print, what="testing")


def test_an_exception_ends_it_and_what_it_started(worker: str) -> None:
    found = list[int]()

    def listener(numbers: list[int]) -> None:
        found.extend(numbers)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_worker(worker, "sleep", listener, what="testing")
    until_gone(found)


ASKING = """
import sys
from tercet.ir.worker_process import run_worker
run_worker("a_worker", "sleep", lambda numbers: print(*numbers, flush=True), what="testing")
"""


def test_it_ends_with_a_process_that_is_killed(worker: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout is not None
    numbers = [int(word) for word in process.stdout.readline().split()]
    assert len(numbers) == 2
    process.kill()
    process.wait()
    until_gone(numbers)


def until_gone(numbers: list[int]) -> None:
    end = time.monotonic() + 60
    while any(runs(number) for number in numbers):
        assert time.monotonic() < end
        time.sleep(0.05)


def runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- signals within libraries -----------------------------------------------------------------------------------------


def library(work: object) -> None:
    """Makes an error of its own of what is raised in it."""
    try:
        work()  # type: ignore[operator]
    except BaseException as error:
        raise RuntimeError("of the library") from error


def test_a_signal_is_not_taken_for_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught, signals_kept(), signals_kept():
        library(lambda: signal.raise_signal(signal.SIGINT))
    assert caught.value.__cause__ is None and signal.getsignal(signal.SIGINT) is before


def test_a_signal_is_not_lost() -> None:
    def swallowed() -> str:
        with signals_kept(), suppress(RuntimeError):
            library(lambda: signal.raise_signal(signal.SIGINT))
        return "went on"

    with pytest.raises(KeyboardInterrupt):
        swallowed()


def test_other_errors_and_handlers_stay() -> None:
    with pytest.raises(RuntimeError, match="of the library"), signals_kept():
        library(lambda: 1 / 0)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals_kept():
            signal.raise_signal(signal.SIGTERM)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
