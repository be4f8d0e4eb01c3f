"""The edits of mutations.py still fit the code; running them takes an hour (run.py)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]


def test_there_are_enough_and_names_differ() -> None:
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS) >= 20


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_the_edit_fits_the_code(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1
    changed = text.replace(mutation.old, mutation.new)
    assert changed != text
    if mutation.file.endswith(".py"):
        ast.parse(changed)
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutation.first)
