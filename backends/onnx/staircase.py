"""Tables of thresholds that are stairs: what is counted is then one affine map, which runs far faster."""

from __future__ import annotations

import numpy as np

SAFE = 1 << 20
"""Of integers and thresholds up to here, float32 rounds a * x + b by less than half a step."""


def staircase(table: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(a, b), float32 [C]: #{T : x >= T} = clip(floor(a * x + b), 0, n) for integers |x| <= largest; with one threshold
    without floor. None where a channel's thresholds are not equally far apart.

    table: whole numbers [C, n], ascending along n.
    """
    if not table.shape[1] or largest >= SAFE or np.abs(table).max(initial=0) >= SAFE:
        return None
    first, steps = table[:, 0].astype(np.float64), table.shape[1]
    if steps == 1:
        return np.ones(len(first), np.float32), (1 - first).astype(np.float32)
    gaps = np.diff(table.astype(np.float64), axis=1)
    if not np.all(gaps == gaps[:, :1]):
        return None
    gap = gaps[:, 0]  # 0: all thresholds at once
    a = np.where(gap > 0, 1 / np.maximum(gap, 1), steps)
    b = np.where(gap > 0, (0.5 - first) * a + 1, steps - steps * first)
    return a.astype(np.float32), b.astype(np.float32)
