"""Unfinished runs as they are kept in the repository: checkpoints, compressed to less than 2 MB."""

from __future__ import annotations

import lzma
from pathlib import Path

RUNS, CHECKPOINT = Path(__file__).with_name("runs"), "checkpoint.pt"
FLOATS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 2, "lp": 2, "pb": 2}]
"""Four bytes belong together."""


def keep(run: Path) -> Path:
    """Compresses the checkpoint of a run's folder. Returns the file."""
    RUNS.mkdir(exist_ok=True)
    kept = RUNS / f"{run.name}.pt.xz"
    kept.write_bytes(lzma.compress((run / CHECKPOINT).read_bytes(), filters=FLOATS))
    return kept


def restore(run: Path) -> None:
    """Puts the checkpoint that is kept of a run into its folder, where there is none."""
    kept = RUNS / f"{run.name}.pt.xz"
    if kept.exists() and not (run / CHECKPOINT).exists():
        run.mkdir(parents=True, exist_ok=True)
        (run / CHECKPOINT).write_bytes(lzma.decompress(kept.read_bytes()))
