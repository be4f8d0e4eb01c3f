"""Options, help and exit codes of the command line itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tercet
from tercet import api
from tercet.cli import verbs
from tercet.cli.options import build_parser

VERBS = ("compile", "inspect", "run", "verify", "bench", "targets", "completion")
HEAVY = {"numpy", "onnx", "onnxruntime", "xdsl", "rich", "argcomplete"}


def test_version(tercet_cli) -> None:
    done = tercet_cli("--version")
    assert (done.code, done.out) == (0, f"tercet {tercet.__version__}\n")


def test_help_lists_every_verb(tercet_cli) -> None:
    done = tercet_cli("--help")
    assert done.code == 0
    assert all(f"\n    {verb} " in done.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_examples(verb: str, tercet_cli) -> None:
    done = tercet_cli(verb, "--help")
    assert done.code == 0
    assert f"examples:\n  tercet {verb}" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: VERB"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("compile",), "the following arguments are required: MODEL"),
        (("compile", "a.onnx", "--batch", "0"), "argument --batch: expected a whole number of 1 or more, got '0'"),
        (("compile", "a.onnx", "--jobs", "two"), "expected a whole number of 1 or more, got 'two'"),
        (("compile", "a.onnx", "-o", ""), "argument -o/--output: expected a path, got ''"),
        (("bench", "a.onnx", "--json", ""), "argument --json: expected a path, got ''"),
        (("run", "a.tercet"), "the following arguments are required: --input/-i"),
        (("verify", "a.tercet"), "the following arguments are required: --against"),
        (("verify", "a.tercet", "--against", "a.onnx", "--rtol", "-1"), "expected a number from 0 to 1, got '-1'"),
        (("bench", "a.onnx", "--color", "blue"), "argument --color: invalid choice: 'blue'"),
        (("completion", "tcsh"), "invalid choice: 'tcsh'"),
        (("targets", "--nonsense"), "unrecognized arguments: --nonsense"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], message: str, tercet_cli) -> None:
    done = tercet_cli(*arguments)
    assert done.code == 2
    assert message in done.err
    assert "--help`" in done.err
    assert done.out == ""


def test_general_options_stand_before_and_after_the_verb() -> None:
    parser = build_parser(verbs.VERBS)
    for arguments in (["--quiet", "targets"], ["targets", "--quiet"]):
        assert parser.parse_args(arguments).quiet
    assert not parser.parse_args(["targets"]).quiet
    assert parser.parse_args(["--color", "never", "targets"]).color == "never"


def test_importing_the_command_line_is_light() -> None:
    code = (
        "import json, sys; from tercet.cli import options, verbs; "
        "options.build_parser(verbs.VERBS); print(json.dumps(list(sys.modules)))"
    )
    modules = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert not HEAVY & set(modules)


def test_an_unexpected_exception_asks_for_a_report(tercet_cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("the cat is on the keyboard")

    monkeypatch.setattr(api, "targets", broken)
    done = tercet_cli("targets")
    assert done.code == 70
    assert "RuntimeError: the cat is on the keyboard" in done.err
    assert "this is a bug; please report it" in done.err


def test_an_interruption_is_no_traceback(tercet_cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "targets", interrupted)
    done = tercet_cli("targets")
    assert (done.code, done.err) == (130, "tercet: interrupted\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shell_code_for_tercet(shell: str, tercet_cli) -> None:
    done = tercet_cli("completion", shell)
    assert done.code == 0
    assert "_ARGCOMPLETE" in done.out
    assert "tercet" in done.out


def test_bash_completes_a_verb(tmp_path: Path) -> None:
    """argcomplete's protocol: the line in COMP_LINE, answers on file descriptor 8."""
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": "tercet ver", "COMP_POINT": "10"}
    subprocess.run(
        ["bash", "-c", f"{sys.executable} -m tercet 8>answers 9>/dev/null"],
        cwd=tmp_path, env={**os.environ, **asked}, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert (tmp_path / "answers").read_text().split() == ["verify"]
