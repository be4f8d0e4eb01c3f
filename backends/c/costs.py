"""What the engines' cost formulas count, in core cycles, as data: costs.toml, one table for each target and engine.

The formula of an engine (its `plan.py`) says what each number means. `benchmarks/fit_costs.py` fits the numbers to
measurements on the machine it runs on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("costs.toml")

Costs = Mapping[str, Mapping[str, float]]
"""By engine, by the number's name."""


@cache
def read_costs() -> Mapping[str, Costs]:
    """All of the file, by target."""
    return tomllib.loads(FILE.read_text("utf-8"))


def read_comments() -> Mapping[str, Sequence[str]]:
    """The comment lines above each table, by its header; those that head the file, by ""."""
    found: dict[str, list[str]] = {}
    block: list[str] = []
    for line in [*FILE.read_text("utf-8").splitlines(), ""]:
        if line.startswith("#"):
            block.append(line)
        elif block:
            found[line], block = block, []
    return found


def costs_text(data: Mapping[str, Costs], comments: Mapping[str, Sequence[str]]) -> str:
    """The file for such costs. comments: as `read_comments` gives them."""
    lines = list(comments.get("", ()))
    for target, engines in data.items():
        for engine, costs in engines.items():
            header = f"[{target}.{engine}]"
            lines += ["", *comments.get(header, ()), header]
            lines += [f"{name} = {value:.4g}" for name, value in costs.items()]
    return "\n".join(lines) + "\n"
