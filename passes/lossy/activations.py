"""Quantizers for activations: their levels, and the step of least squared error on calibration data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MOST_VALUES = 1 << 18
STEPS = 64


@dataclass(frozen=True)
class Levels:
    """The integers of an activation: lo..hi, or 0..top where none is negative."""

    lo: int
    hi: int
    top: int


ACTIVATIONS: Mapping[str, Levels] = {
    "int8": Levels(-127, 127, 255),
    "int4": Levels(-7, 7, 15),
    "ternary": Levels(-1, 1, 2),
}


@dataclass(frozen=True)
class Quantizer:
    """clip(round(x / step), lo, hi) * step."""

    lo: int
    hi: int
    step: np.float32


def choose_quantizer(samples: Sequence[np.ndarray], levels: Levels) -> Quantizer:
    """The quantizer of least squared error among steps from the whole range down to a small part of it."""
    every = -(-sum(a.size for a in samples) // MOST_VALUES)
    x = np.concatenate([a.reshape(-1)[::every] for a in samples]).astype(np.float64)
    low, high = min(float(a.min()) for a in samples), max(float(a.max()) for a in samples)
    lo, hi = (0, levels.top) if low >= 0 else (levels.lo, levels.hi)
    whole = max(high / hi, low / lo if lo else 0.0)
    if not whole > 0 or not np.isfinite(whole):
        return Quantizer(lo, hi, np.float32(1))
    # With few levels the best step is far below the range; with many it is close to it.
    steps = whole * np.geomspace(1 / min(64, 8 * hi), 1, STEPS)
    errors = [float(np.square(np.clip(np.rint(x / s), lo, hi) * s - x).sum()) for s in steps]
    step = np.float32(steps[int(np.argmin(errors))])
    return Quantizer(lo, hi, step if step > 0 else np.float32(1))
