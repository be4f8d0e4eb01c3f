"""What a benchmark found, and its JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...ir.errors import InputError
from .timing import Spread


@dataclass(frozen=True)
class PeerTimes:
    """A peer beside the artifact. form: what it runs. seconds: of each round, per call. ratio: its time over the
    artifact's in the same round, so above 1 the artifact is faster. agreement: how its outputs compare."""

    name: str
    form: str
    seconds: tuple[float, ...]
    ratio: Spread
    agreement: str


@dataclass(frozen=True)
class LayerTime:
    """One step. seconds: median for the whole batch. cycles: predicted for one sample on one core; tuned: the same, as
    measured when the model was compiled with tuning, else 0. bits_per_weight: None for a step without weights, or whose
    code holds them (weights_in_code)."""

    symbol: str
    engine: str
    nodes: tuple[str, ...]
    seconds: float
    cycles: float
    tuned: float
    bits_per_weight: float | None
    weights_in_code: bool


@dataclass(frozen=True)
class BenchReport:
    """Times of one artifact, all constants in it in bytes, and the bytes of its working memory.

    Absolute times hold for `cpu` in the state it was in; the ratios are what to compare.
    """

    artifact: str
    model: str
    target: str
    cpu: str
    threads: int
    batch: int
    cpus: tuple[int, ...]
    seconds: tuple[float, ...]
    stored_bytes: int
    arena_bytes: int
    peers: tuple[PeerTimes, ...]
    layers: tuple[LayerTime, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def time(self) -> Spread:
        """Seconds per call, for the whole batch."""
        return Spread.of(self.seconds)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values for json.dump; seconds throughout."""
        return asdict(self) | {"time": asdict(self.time)}


def layer_seconds(file: str | Path) -> dict[str, float]:
    """Seconds of one sample by kernel symbol, from the JSON of a report with layers. Raises InputError for others."""
    try:
        report = json.loads(Path(file).read_text(encoding="utf-8"))
        return {layer["symbol"]: layer["seconds"] / report["batch"] for layer in report["layers"]}
    except OSError as error:
        raise InputError(f"cannot read the benchmark: {error.strerror}", where=str(file)) from error
    except (ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError) as error:
        hint = "make one with `tercet bench --per-layer --json`"
        what = f"it has no {error}" if isinstance(error, KeyError) else error  # the repr of others may quote the file
        raise InputError(f"not a benchmark report: {what}", where=str(file), hint=hint) from error
