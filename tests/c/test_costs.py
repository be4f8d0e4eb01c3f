"""The numbers of costs.toml: all are there, and all are used."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from tercet.backends.c.costs import FILE, costs_text, read_comments, read_costs
from tercet.backends.c.elements import ELEMENTS
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.engines.loops.roots import ROOTS
from tercet.backends.c.target import TARGETS, Target

FORMULAS = {"dense_f32": "dense", "dense_int8": "dense"}
"""The folders of formulas that engines share."""
REGISTERED = {"loops": {code.cost for code in (*ROOTS.values(), *ELEMENTS.values())}}
"""Numbers that operations name beside their C."""
NEEDS = {"permute": "permute_i16"}
"""Engines of targets that have an instruction; the others have no costs for them."""


@pytest.mark.parametrize("engine", [engine.name for engine in ENGINES])
def test_every_number_is_used_and_none_is_missing(engine: str) -> None:
    sources = (FILE.parent / FORMULAS.get(engine, f"engines/{engine}")).glob("*.py")
    used = {name for path in sources for name in _names(path)} | REGISTERED.get(engine, set())
    for target in _targets(engine):
        assert set(target.costs[engine]) == used
        assert all(0 < value < math.inf for value in target.costs[engine].values())


def _targets(engine: str) -> list[Target]:
    return [t for t in TARGETS.values() if engine not in NEEDS or NEEDS[engine] in t.instructions]


def _names(path: Path) -> set[str]:
    keys = re.findall(r"(?<!\.)costs\[(.*?)\]", path.read_text())
    return {name for key in keys for name in re.findall(r'"(\w+)"', key)}


def test_the_file_that_is_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "costs.toml"
    comments = read_comments()
    assert comments[""][0].startswith("# Core cycles") and len(comments) > 1
    path.write_text(costs_text(read_costs(), comments))
    monkeypatch.setattr("tercet.backends.c.costs.FILE", path)
    again = read_costs.__wrapped__()
    assert read_comments() == comments
    for target, engines in read_costs().items():
        for engine, costs in engines.items():
            np.testing.assert_allclose(list(again[target][engine].values()), list(costs.values()), rtol=1e-3)
