"""What tuning changed, as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..artifact.layers import Candidate, Layer
from .tables import table


def tuning_text(layers: Sequence[Layer]) -> str:
    """One line for each step where the fastest measured candidate is not the one that was predicted to be."""
    tuned = [layer for layer in layers if layer.measured]
    rows = [_row(layer, predicted) for layer in tuned if (predicted := _predicted(layer)) is not None]
    head = f"tuning: {len(rows)} of {len(tuned)} steps are not as predicted"
    if not rows:
        return f"{head}\n"
    header = ("step", "measured to be fastest", "cycles", "predicted to be fastest", "cycles")
    return f"{head}\n{table(header, rows, '<<><>', width=120)}\n"


def _predicted(layer: Layer) -> Candidate | None:
    """The candidate with the lowest prediction; None where it is the choice."""
    found = [candidate for candidate in layer.candidates if not candidate.refusal]
    best = min(found, key=lambda candidate: candidate.cycles, default=None)
    return None if best is None or (best.engine, best.schedule) == (layer.engine, layer.schedule) else best


def _row(layer: Layer, predicted: Candidate) -> list[str]:
    chosen, other = _plan(layer.engine, layer.schedule), _plan(predicted.engine, predicted.schedule)
    slower = f"{predicted.measured:.0f}" if predicted.measured else "not measured"
    return [layer.symbol, chosen, f"{layer.measured:.0f}", other, slower]


def _plan(engine: str, schedule: Mapping[str, int | str]) -> str:
    return " ".join((engine, ", ".join(f"{key} {value}" for key, value in sorted(schedule.items())))).strip()
