"""Gives every region of a layer its sign: by rule, or so that the error becomes least."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from .methods import Ternary, one_scale, ternarize

Assignment: TypeAlias = Literal["rule", "balanced", "free"]
ASSIGNMENTS: tuple[Assignment, ...] = ("rule", "balanced", "free")


def signs_by_rule(index: np.ndarray) -> np.ndarray:
    """The regions' signs, int8 [regions], half and half: +1 for even and -1 for odd ones."""
    return np.where(np.arange(index.max(initial=-1) + 1) % 2, -1, 1).astype(np.int8)


def signs_of_least_error(positive: np.ndarray, negative: np.ndarray, *, balanced: bool) -> np.ndarray:
    """The signs int8 [regions] of least error. positive, negative: each region's error when it has that sign.

    balanced: as many of each sign as can be (one more +1 when their number is odd): those that gain most get their way.
    Equal errors give +1 to the earlier ones.
    """
    gain = np.asarray(negative, np.float64) - np.asarray(positive, np.float64)
    if not balanced:
        return np.where(gain >= 0, 1, -1).astype(np.int8)
    signs = np.full(len(gain), -1, np.int8)
    signs[np.argsort(-gain, kind="stable")[: (len(gain) + 1) // 2]] = 1
    return signs


def weight_errors(w: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each region's least squared error with weights 0 and +a, and with 0 and -a, each region with the best a."""
    flat, order = w.reshape(-1).astype(np.float64), np.argsort(index.reshape(-1), kind="stable")
    bounds = np.cumsum(np.bincount(index.reshape(-1)))[:-1]
    parts = np.split(flat[order], bounds)
    errors = [[float(((p - one_sided(p[None], s).values[0]) ** 2).sum()) for p in parts] for s in (1, -1)]
    return np.array(errors[0]), np.array(errors[1])


def one_sided(w: np.ndarray, sign: np.ndarray | int) -> Ternary:
    """The codes 0 and `sign` (int8, broadcast against w [R, N]) with one scale a row, of least error."""
    found = ternarize(np.maximum(w * sign, 0), "ternary")
    return one_scale(np.asarray(w, np.float64), found.q * np.broadcast_to(sign, w.shape))


def choose_signs(w: np.ndarray, index: np.ndarray, how: Assignment) -> np.ndarray:
    """Every weight's sign, int8 [R, N], by the least weight error or by rule. index: `RegionShape.index`."""
    if how == "rule":
        return signs_by_rule(index)[index]
    return signs_of_least_error(*weight_errors(w, index), balanced=how == "balanced")[index]
