"""What ends a program from outside, or takes the ground from under it: nothing stays behind, messages are plain."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tercet.backends.c.toolchain import find_compiler

from .conftest import Files

TERCET = (sys.executable, "-m", "tercet")


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def slow_compiler(folder: Path) -> tuple[Path, Path]:
    """A compiler that takes its time, and the file that is there once it has begun, with the process's number in it."""
    started, real = folder / "started", shlex.join(find_compiler().argv)
    begins = f"echo $$ >{started}.new; mv {started}.new {started}; sleep 3600"
    text = f'case " $* " in *" -c "*) {begins};; esac\nexec {real} "$@"'
    return script(folder / "slow-cc", text), started


def run(arguments: Sequence[object], folder: Path, **options) -> subprocess.CompletedProcess[str]:
    command = [*TERCET, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGHUP, "terminated"), (signal.SIGINT, "interrupted")]
)
def test_a_signal_while_the_compiler_runs_leaves_nothing(
    number: signal.Signals, word: str, files: Files, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Sent to the one process: no temporary folder, no output, and no C compiler that goes on."""
    temporary = tmp_path_factory.mktemp("temporary")
    compiler, started = slow_compiler(tmp_path_factory.mktemp("compiler"))
    process = subprocess.Popen(
        [*TERCET, "compile", "--quiet", str(files.model), "-o", "a.tercet"], cwd=tmp_path, text=True,
        env={**os.environ, "TERCET_CC": str(compiler), "TMPDIR": str(temporary)}, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL), start_new_session=True,
    )  # fmt: skip
    while not started.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)  # where the compiler is waited for, an hour would pass
    assert (process.returncode, err) == (128 + number, f"tercet: {word}\n")
    assert list(tmp_path.iterdir()) == [] and list(temporary.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)  # the compiler


MISSED = """
import signal, sys, threading, time
from pathlib import Path
from tercet.backends.c.toolchain import compile_shared
from tercet.cli.signals import Terminated, tidy_ending

folder, started = map(Path, sys.argv[1:])

def send() -> None:
    while not started.exists():
        time.sleep(0.01)
    time.sleep(0.5)  # by now the main thread waits for the compilers
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=send, daemon=True).start()
try:
    with tidy_ending():
        compile_shared({"a.c": "", "b.c": ""}, folder)
except Terminated:
    print("terminated")
"""


def test_a_signal_that_does_not_wake_the_main_thread_is_noticed(tmp_path: Path) -> None:
    """As one does that comes in the instant before the main thread sleeps: here another thread takes it."""
    (folder := tmp_path / "compiler").mkdir()
    compiler, started = slow_compiler(folder)
    done = subprocess.run(
        [sys.executable, "-c", MISSED, str(tmp_path / "work"), str(started)], capture_output=True, text=True,
        env={**os.environ, "TERCET_CC": str(compiler)}, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("terminated\n", "")


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As under nohup."""
    code = (
        "import signal\nfrom tercet.cli.signals import tidy_ending\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with tidy_ending():\n    signal.raise_signal(signal.SIGHUP)\n    print('goes on')\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("goes on\nTrue\n", "")


# -- C compilers that are none ----------------------------------------------------------------------------------------

VERSION = 'case "$*" in *--version*) echo "cc 1.0";; '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{VERSION}esac", "the C compiler succeeded but did not write "),
        (f'{VERSION}*" -c "*) touch "$(echo "$*" | sed "s/.* -o //; s/ .*//")";; esac', "succeeded but did not write "),
        ("exit 0", "--version printed nothing"),
        ("echo no >&2; exit 3", "--version failed: no"),
        (f"{VERSION}*) echo 'error: no space' >&2; exit 1;; esac", "the C compiler failed: error: no space"),
        (f"{VERSION}*) kill -9 $$;; esac", "the C compiler failed"),
    ],
)
def test_a_compiler_that_writes_nothing(text: str, message: str, files: Files, tmp_path: Path) -> None:
    compiler = script(tmp_path / "cc", text)
    (work := tmp_path / "work").mkdir()
    done = run(["compile", files.model, "-q"], work, env={**os.environ, "TERCET_CC": str(compiler)})
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("tercet: ") and message in done.stderr and "Traceback" not in done.stderr
    assert list(work.iterdir()) == []


def test_a_missing_compiler_is_noticed_before_the_work(files: Files, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_text("not read yet")
    environment = {**os.environ, "TERCET_CC": "/nowhere/cc"}
    done = run(["compile", "x.onnx", "-o", "a.tercet"], tmp_path, env=environment)
    assert done.returncode == 2 and "cannot run the C compiler /nowhere/cc" in done.stderr


# -- folders and disks ------------------------------------------------------------------------------------------------


def test_in_a_folder_that_was_deleted(files: Files, tmp_path: Path) -> None:
    gone, out = tmp_path / "gone", tmp_path / "a.tercet"
    code = "import sys; from tercet.cli import main; sys.exit(main(sys.argv[1:]))"
    program = shlex.join([sys.executable, "-c", code])
    for arguments in (("compile", files.model, "-o", out), ("run", files.artifact, "-i", files.image), ("targets",)):
        gone.mkdir()
        command = f"rmdir {gone}; exec {program} {shlex.join(map(str, arguments))}"
        done = subprocess.run(["sh", "-c", command], cwd=gone, capture_output=True, text=True, timeout=120)
        message = "tercet: the working directory no longer exists\n  hint: change to another folder\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", message)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(files: Files, tmp_path: Path) -> None:
    """Simulated by a limit on the size of files: of those the C compiler reads, and of the artifact."""

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    for size in (1000, files.artifact.stat().st_size - 1000):
        temporary = tmp_path / f"t{size}"
        temporary.mkdir()
        (work := tmp_path / f"w{size}").mkdir()
        done = run(
            ["compile", files.model, "-o", "a.tercet", "--target", "generic"], work,
            env={**os.environ, "TMPDIR": str(temporary)}, preexec_fn=lambda size=size: limit(size),
        )  # fmt: skip
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert "File too large" in done.stderr
        assert list(work.iterdir()) == [] and list(temporary.iterdir()) == []


def test_a_temporary_folder_that_is_not_there(files: Files, tmp_path: Path) -> None:
    code = (
        "import sys, tempfile\ntempfile.tempdir = '/nowhere'\nfrom tercet.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    for arguments in (("compile", files.model), ("run", files.artifact, "-i", files.image)):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stderr
        assert "the temporary folder cannot be used" in done.stderr and "TMPDIR" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["folder", "file/a.tercet", "/proc/a.tercet"])
def test_an_output_that_cannot_be_written_is_noticed_before_the_work(
    place: str, files: Files, tercet_cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERCET_CC", "/nowhere/cc")  # what would be noticed next
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.tercet").mkdir()
    output = tmp_path / "folder.tercet" if place == "folder" else tmp_path / place
    done = tercet_cli("compile", files.model, "-o", output, "-q")
    assert done.code == 2
    assert "not replaced by a file" in done.err if place == "folder" else "cannot be written" in done.err
    for verb in ("bench",):
        done = tercet_cli(verb, files.model, "--json", tmp_path if place == "folder" else tmp_path / place, "-q")
        assert done.code == 2 and "cannot be written" in done.err


def test_an_output_that_was_there(files: Files, tercet_cli, tmp_path: Path) -> None:
    out = tmp_path / "a.tercet"
    assert "(replaced)" not in tercet_cli("compile", files.model, "-o", out, "--target", "generic").out
    again = tercet_cli("compile", files.model, "-o", out, "--target", "generic")
    assert again.out.startswith(f"{out} (replaced): ")
