"""Random weights of the kinds that are measured."""

from __future__ import annotations

import numpy as np

ZEROS = {"ternary": 1 / 3, "signed-binary": 0.65, "binary": 0.0}
"""Share of zero weights, by kind."""


def integer_weights(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """int8 weights; axis 0 are the filters. signed-binary: the first half of them holds {0, 1}, the rest {0, -1}."""
    there = rng.random(shape) >= ZEROS[kind]
    if kind == "signed-binary":
        first = (np.arange(shape[0]) < (shape[0] + 1) // 2).reshape(-1, *[1] * (len(shape) - 1))
        signs = np.where(first, 1, -1)
    else:
        signs = rng.choice(np.array([-1, 1]), shape)
    return (there * signs).astype(np.int8)


def two_scales(q: np.ndarray, positive: float, negative: float) -> np.ndarray:
    """float32 weights {-negative, 0, +positive}, as trained ternary quantization leaves them."""
    return np.where(q > 0, np.float32(positive), np.where(q < 0, np.float32(-negative), np.float32(0)))


def int8_per_filter(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(q int8, scale float32 [filters]) nearest to float weights: symmetric, the largest of each filter is 127."""
    scale = np.abs(w).max(axis=tuple(range(1, w.ndim))).astype(np.float32) / np.float32(127)
    scale = np.where(scale > 0, scale, np.float32(1))
    q = np.rint(w / scale.reshape(-1, *[1] * (w.ndim - 1)))
    return q.astype(np.int8), scale
