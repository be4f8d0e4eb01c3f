"""Every rule fires: the files beside this one hold IR, the command that rewrites it, and the form that must come out.

PASS/RULE.mlir is about one rule of a pass, by the name of its function; any other name is about the pass itself. Each
file passes, keeps the interpreter's result, and fails once its rule (or pass) is switched off.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from filecheck.matcher import Matcher
from filecheck.options import Options

from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import known_passes
from tercet.backends.c.target import TARGETS
from tercet.backends.reference.interpreter import run
from tercet.cli import main
from tercet.driver.opt import read_program
from tercet.ir.program import Port, Program
from tercet.ir.types import element_of, is_float, range_of
from tercet.ir.weights import WeightStore
from tercet.passes.base import Pass, RewritePass

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*/*.mlir"))
RUN = re.compile(r"// RUN: tercet (opt .*) \| filecheck %s")
PASSES = known_passes(TARGETS["generic"], ENGINES)
TESTED_ELSEWHERE = {"tune", "settle-engines"}
"""They need measurements and costs that are made up for the purpose: tests/passes."""


def rules_of(step: Pass) -> dict[str, Callable[..., bool]]:
    """A pass's rules by their names."""
    if not isinstance(step, RewritePass):
        return {}
    rules = [rule for each in step.rules().values() for rule in each]
    functions = [rule.func if isinstance(rule, partial) else rule for rule in rules]
    return {function.__name__.lstrip("_"): function for function in functions}


def name(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def arguments(file: Path) -> list[str]:
    """Of the command in a file's first line."""
    found = RUN.fullmatch(file.read_text().splitlines()[0])
    assert found is not None, f"{file}: expected a first line like {RUN.pattern}"
    return [str(file) if word == "%s" else word for word in shlex.split(found[1])]


def outcome(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments(file)) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def matches(file: Path, text: str, folder: Path) -> bool:
    (folder / "out.mlir").write_text(text)
    return Matcher.from_opts(Options(str(file), str(folder / "out.mlir"))).run() == 0


@pytest.mark.parametrize("file", FILES, ids=name)
def test_has_the_form(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = outcome(file, capsys)
    assert matches(file, text, tmp_path), f"{capsys.readouterr().err}\n{text}"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_notices_that_its_rule_is_off(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = PASSES[file.parent.name]
    if (rule := rules_of(step).get(file.stem)) is not None:
        monkeypatch.setattr(rule, "__code__", (lambda *_, **__: False).__code__)
    else:
        monkeypatch.setattr(type(step), "apply", lambda self, program: False)
    assert not matches(file, outcome(file, capsys), tmp_path)


@pytest.mark.parametrize("file", [file for file in FILES if file.parent.name != "ternarize"], ids=name)
def test_keeps_the_meaning(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, rng = read_program(file), np.random.default_rng(0)
    after = Program.parse(outcome(file, capsys), WeightStore())
    for _ in range(20):
        inputs = {port.name: random_input(port, rng) for port in before.inputs}
        want, have = run(before, inputs), run(after, inputs)
        for key in want:
            np.testing.assert_allclose(have[key], want[key], rtol=1e-6, atol=1e-6)


def random_input(port: Port, rng: np.random.Generator) -> np.ndarray:
    if is_float(port.type):
        return np.round(rng.normal(size=port.shape) * 8).astype(np.float32) / 8
    lo, hi = range_of(element_of(port.type))
    return rng.integers(lo, hi + 1, port.shape).astype(port.dtype)


def test_every_rule_has_a_file() -> None:
    have, seen = {name(file) for file in FILES}, set[Callable[..., bool]]()
    for step in PASSES.values():
        rules = rules_of(step)
        seen |= {function for rule, function in rules.items() if f"{step.name}/{rule}" in have}
    missing = [
        f"{step.name}/{rule}" for step in PASSES.values() for rule, function in rules_of(step).items()
        if function not in seen
    ]  # fmt: skip
    whole = {step.name for step in PASSES.values() if not isinstance(step, RewritePass)}
    missing += [f"{each}/{each}" for each in whole - TESTED_ELSEWHERE if f"{each}/{each}" not in have]
    assert not missing
