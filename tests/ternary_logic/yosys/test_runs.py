"""Runs of Yosys: kept by content, ended at a limit, and what is said where there is none. None of it needs Yosys."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tercet.backends.ternary_logic.yosys import tool
from tercet.backends.ternary_logic.yosys.cache import Cache, Outcome
from tercet.backends.ternary_logic.yosys.recipes import Fpga
from tercet.backends.ternary_logic.yosys.runs import Synthesizer
from tercet.backends.ternary_logic.yosys.tool import OutOfTimeError, find_yosys
from tercet.cli import groups, main
from tercet.ir.errors import InputError, ToolchainError

from .helpers import program, runs

DIGITS = str(Path(__file__).parents[3] / "examples" / "digits" / "digits_ternary.onnx")
WRITES = "open('result.json', 'w').write(open('design.v').read())"
SLEEPS = "import time; time.sleep(60)"


def test_the_same_content_is_run_once(tmp_path: Path) -> None:
    yosys, cache = program(tmp_path, WRITES), Cache(tmp_path / "cache")
    first = cache.run(yosys, "script", {"design.v": "one"}, 60)
    assert first.text == "one" and runs(tmp_path) == 1
    assert cache.run(yosys, "script", {"design.v": "one"}, 60) == first and runs(tmp_path) == 1
    assert cache.run(yosys, "script", {"design.v": "two"}, 60).text == "two" and runs(tmp_path) == 2
    assert cache.run(yosys, "another script", {"design.v": "one"}, 60).text == "one" and runs(tmp_path) == 3
    newer = tool.Yosys(yosys.command, "Yosys of another test")
    assert cache.run(newer, "script", {"design.v": "one"}, 60).text == "one" and runs(tmp_path) == 4
    assert not list((tmp_path / "cache").glob("*.tmp"))


@pytest.mark.parametrize("left", ["", "{", "[]", '{"text": "one"}', '{"text": 1, "seconds": 2}'])
def test_a_damaged_file_is_run_again(left: str, tmp_path: Path) -> None:
    yosys, cache = program(tmp_path, WRITES), Cache(tmp_path / "cache")
    cache.run(yosys, "script", {"design.v": "one"}, 60)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(left)
    assert cache.run(yosys, "script", {"design.v": "one"}, 60).text == "one" and runs(tmp_path) == 2
    assert cache.run(yosys, "script", {"design.v": "one"}, 60).text == "one" and runs(tmp_path) == 2


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    yosys, cache = program(tmp_path, WRITES), Cache(tmp_path / "cache")
    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        cache.run(yosys, "script", {"design.v": "one"}, 60)
    assert not list((tmp_path / "cache").iterdir())


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.run(program(tmp_path, WRITES), "script", {"design.v": "one"}, 60).text == "one"


def test_the_limit(tmp_path: Path) -> None:
    """A run that ran out of time is one that need not be tried with less."""
    yosys, cache = program(tmp_path, SLEEPS), Cache(tmp_path / "cache")
    start = time.monotonic()
    assert cache.run(yosys, "script", {}, 0.5) == Outcome(None, 0.5)
    assert time.monotonic() - start < 30
    known = runs(tmp_path)
    assert cache.run(yosys, "script", {}, 0.25) == Outcome(None, 0.5) and runs(tmp_path) == known
    quick = program(tmp_path, "open('result.json', 'w').write('done')")
    assert cache.run(quick, "script", {}, 60).text == "done" and runs(tmp_path) == known + 1
    slow = program(tmp_path, SLEEPS)
    found = Synthesizer(slow, Cache(None), 0.5).run(Fpga(), "inferred", ["module top; endmodule"])
    assert (found.count, found.reason) == (None, "ran out of its 0.5 s")


def test_at_the_limit_what_it_started_ends_too(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time; time.sleep(3); open({str(alive)!r}, 'w')"
    yosys = program(tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    with pytest.raises(OutOfTimeError):
        yosys.run("script", {}, 1.5)
    time.sleep(3)
    assert not alive.exists()


def test_what_goes_wrong_is_said(tmp_path: Path) -> None:
    yosys = program(tmp_path, "print('1. A pass'); print('ERROR: no such thing'); print('more'); raise SystemExit(1)")
    with pytest.raises(ToolchainError, match="Yosys failed: ERROR: no such thing"):
        Cache(tmp_path / "cache").run(yosys, "script", {}, 60)
    with pytest.raises(ToolchainError, match="Yosys failed: it ended without a message"):
        program(tmp_path, "").run("script", {}, 60)
    assert not (tmp_path / "cache").exists()  # a failure is not kept


def test_without_yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tool, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["cost", DIGITS, "--yosys"]) == 2
    err = capsys.readouterr().err
    assert "no Yosys is installed" in err and "pip install 'tercet[yosys]'" in err


def test_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = tmp_path / "yosys"
    found.write_text(f"#!{sys.executable}\nprint('Yosys 0.1 of a test')\n")
    found.chmod(0o755)
    assert find_yosys() == tool.Yosys((str(found),), "Yosys 0.1 of a test")
    found.write_text(f"#!{sys.executable}\nraise SystemExit('cannot start')\n")
    with pytest.raises(ToolchainError, match="Yosys does not start: cannot start"):
        find_yosys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--liberty", "cells.lib"], "--liberty is for Yosys"),
        (["--yosys", "--liberty", "none.lib"], "cannot read the liberty file"),
        (["--yosys", "--library", "lee2019"], "Yosys makes binary circuits alone"),
    ],
)
def test_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", DIGITS, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_families() -> None:
    from tercet.backends.ternary_logic.yosys.options import FAMILIES

    assert groups.FAMILIES == FAMILIES
    with pytest.raises(InputError, match="no FPGA family 'ice40'"):
        Fpga("ice40")
