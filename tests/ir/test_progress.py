"""Whoever listens is told how far long work has come, and nobody else is."""

from __future__ import annotations

from pathlib import Path

import tercet
from tercet.ir.progress import counted, listening

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


def test_a_listener_is_told_what_is_being_done() -> None:
    told: list[str] = []
    with listening(told.append):
        assert list(counted("file", ["a", "b"])) == ["a", "b"]
        with listening(lambda text: None):
            list(counted("file", [1]))
    assert list(counted("file", [1, 2])) == [1, 2]
    assert told == ["file, 1 of 2", "file, 2 of 2"]


def test_the_long_stages_of_a_compilation_tell(tmp_path: Path) -> None:
    told: list[str] = []
    with listening(told.append):
        tercet.compile(DIGITS, tmp_path / "digits.tercet", target="generic")
    for what in ("merging sums: layer", "writing C for generic: step", "compiling C: file"):
        found = [text for text in told if text.startswith(what)]
        total = int(found[0].rpartition(" ")[2])
        assert found == [f"{what}, {i} of {total}" for i in range(1, total + 1)]
