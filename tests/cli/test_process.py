"""The command line as a process: exit codes, pipes, signals, and what goes to which stream."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tercet.backends.c.toolchain import find_compiler

from .conftest import Files


def test_main_job(files: Files, tercet_process, tmp_path: Path) -> None:
    """Compile, inspect, verify and run, each in its own process."""
    assert tercet_process("compile", files.model, "-o", "a.tercet", "--target", "generic").code == 0
    assert "conv" in tercet_process("inspect", "a.tercet").out
    assert tercet_process("verify", "a.tercet", "--against", files.model, "--per-layer").code == 0
    done = tercet_process("run", "a.tercet", "--input", files.image, "--output-dir", "out")
    assert (done.code, done.out, done.err) == (0, f"{Path('out') / 'y.npy'}\n", "")
    assert (tmp_path / "out" / "y.npy").is_file()


def test_errors_go_to_stderr_with_exit_code_2(tercet_process) -> None:
    done = tercet_process("inspect", "none.tercet")
    assert (done.code, done.out, done.err) == (2, "", "tercet: none.tercet: no such file or folder\n")
    assert tercet_process("nonsense").code == 2
    assert tercet_process("--version").code == 0


def test_no_colour_and_no_progress_line_outside_a_terminal(files: Files, tercet_process) -> None:
    done = tercet_process("verify", files.artifact, "--against", files.model)
    assert "\033" not in done.out + done.err
    assert done.err == ""


def test_a_reader_that_leaves_is_no_error(files: Files, tmp_path: Path) -> None:
    command = f"{sys.executable} -m tercet inspect {files.artifact} --after plan-memory"
    script = f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize("arguments", [("inspect",), ("inspect", "--json"), ("--help",), ("targets",)])
def test_full_standard_output(arguments: tuple[str, ...], files: Files, tmp_path: Path) -> None:
    """Every byte of /dev/full is one too many."""
    command = [sys.executable, "-m", "tercet", *arguments, *([str(files.artifact)] if "inspect" in arguments else [])]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, cwd=tmp_path)
    assert done.stderr == "tercet: standard output cannot be written: No space left on device\n"
    assert done.returncode == 2


def test_closed_standard_output(files: Files, tmp_path: Path) -> None:
    """What has nothing to say does its work; what has says that it cannot."""

    def run(command: str) -> subprocess.CompletedProcess[str]:
        script = f"{sys.executable} -m tercet {command} >&-"
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)

    done = run(f"inspect {files.artifact}")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "tercet: standard output is closed")
    done = run(f"compile {files.model} -o a.tercet --target generic --quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.tercet").read_bytes() == files.artifact.read_bytes()
    done = run("inspect none.tercet")
    assert (done.returncode, done.stderr) == (2, "tercet: none.tercet: no such file or folder\n")


def test_closed_standard_error(files: Files, tmp_path: Path) -> None:
    script = f"{sys.executable} -m tercet inspect none.tercet 2>&-; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.stdout == "2\n"


@pytest.mark.check
def test_memory_that_is_not_there(files: Files) -> None:
    """Fewer samples than the machine's memory would hold, but more than the process may have."""
    command = f"{sys.executable} -m tercet bench {files.artifact} --against none --repeats 1 --samples 6000000"
    script = f"ulimit -v 2000000; OPENBLAS_NUM_THREADS=1 {command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.startswith("tercet: not enough memory: Unable to allocate"), done


def test_interrupt_leaves_nothing(files: Files, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ctrl-C, which reaches all processes of a terminal, while the C compiler runs: here one that takes its time."""
    folder = tmp_path_factory.mktemp("compiler")
    compiler, started = folder / "slow-cc", folder / "started"
    real = shlex.join(find_compiler().argv)
    compiler.write_text(f'#!/bin/sh\ncase " $* " in *" -c "*) >{started}; sleep 5;; esac\nexec {real} "$@"\n')
    compiler.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "tercet", "compile", "--quiet", str(files.model), "-o", "a.tercet"],
        cwd=tmp_path, env={**os.environ, "TERCET_CC": str(compiler)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs are started to ignore it
    )  # fmt: skip
    while not started.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err == "tercet: interrupted\n"
    assert list(tmp_path.iterdir()) == []
