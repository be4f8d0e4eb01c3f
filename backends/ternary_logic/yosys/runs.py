"""One circuit in several forms through one kind of synthesis, and the best of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ....ir.errors import InputError, ToolchainError
from .cache import Cache
from .recipes import DESIGN, Count, Recipe, StandardCells
from .tool import Yosys

PROBE = "module top(input a, b, c, output y, z); assign y = a ^ ~(b & c), z = ~a; endmodule\n"

NEEDED = "an inverter, a buffer and a NAND or NOR of two inputs, each with its pins, are the least"


@dataclass(frozen=True)
class Run:
    """form: of the circuit, `explicit` or one of `inferred.SUMS`. count: None where there is none, and why. seconds: of
    Yosys, when it ran; the time limit where it ran out of it."""

    form: str
    count: Count | None
    reason: str
    seconds: float


@dataclass(frozen=True)
class Synthesizer:
    """limit: seconds for each run."""

    yosys: Yosys
    cache: Cache
    limit: float

    def run(self, recipe: Recipe, form: str, lines: Iterable[str]) -> Run:
        """Raises ToolchainError where Yosys fails."""
        files = {DESIGN: "\n".join([*lines, ""]), **recipe.files}
        outcome = self.cache.run(self.yosys, recipe.script, files, self.limit)
        if outcome.text is None:
            return Run(form, None, f"ran out of its {self.limit:g} s", outcome.seconds)
        return Run(form, recipe.read(outcome.text), "", outcome.seconds)

    def check(self, recipe: StandardCells) -> None:
        """Raises InputError for a liberty file to which Yosys cannot map a few gates."""
        try:
            found = self.run(recipe, "probe", [PROBE]).count
        except ToolchainError as error:
            raise InputError(
                f"Yosys cannot map to it: {error.what}", where=recipe.liberty.where, hint=NEEDED
            ) from error
        mapped = found is not None and found.cells and not any(cell.startswith("$") for cell in found.cells)
        if found is not None and not mapped:
            raise InputError(
                "Yosys finds too few cells in it to map gates to", where=recipe.liberty.where, hint=NEEDED
            )


def best(runs: Iterable[Run]) -> Run | None:
    """The smallest; None where none came to an end."""
    return min((run for run in runs if run.count is not None), key=_size, default=None)


def _size(run: Run) -> float:
    assert run.count is not None
    return run.count.size


def forms_text(runs: Iterable[Run]) -> Mapping[str, str]:
    """What became of each form, in a few words."""
    return {run.form: run.reason or f"{_size(run):g}" for run in runs}
