"""How the share of zeros in each layer's weights changed while the network was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....ir.errors import InputError
from ..training.checkpoint import history_of
from .section import NotApplicable


@dataclass(frozen=True)
class SparsityHistory:
    """epochs: their numbers. zeros: of each layer, the share of zeros after each epoch; density, accuracy: of the whole
    model after each; no accuracy where the run had a metric or loss of its own."""

    epochs: tuple[int, ...]
    density: tuple[float, ...]
    accuracy: tuple[float, ...]
    zeros: Mapping[str, tuple[float, ...]]


def sparsity_over_training(
    history: Sequence[Mapping[str, Any]] | str | Path | None,
) -> SparsityHistory | NotApplicable:
    """history: what `train` returned, or the folder of its run, finished or not.

    Raises InputError for a folder without a checkpoint, and for another kind of history.
    """
    if history is None:
        return NotApplicable("No history was given: what train returned, or the folder of the run.")
    records = history_of(Path(history)) if isinstance(history, str | Path) else history
    if not records:
        return NotApplicable("No epoch of the run has ended yet.")
    try:
        return _read(records)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the history is not what train returns: {error!r}") from error


def _read(records: Sequence[Mapping[str, Any]]) -> SparsityHistory | NotApplicable:
    names = [name for name in records[0].get("shares", {}) if all(name in r.get("shares", {}) for r in records)]
    if not names:
        return NotApplicable("The history has no shares of quantized weights.")
    classifies = all("test_accuracy" in r for r in records)
    return SparsityHistory(
        tuple(r["epoch"] for r in records),
        tuple(r["density"] for r in records),
        tuple(r["test_accuracy"] for r in records) if classifies else (),
        {name: tuple(r["shares"][name].get(0, 0.0) for r in records) for name in names},
    )
