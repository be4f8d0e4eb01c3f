"""Weights of three values: codes -1, 0, 1 and one or two positive scales, and the methods that choose them.

Every method works on rows: the weights that share scales, one row for a whole tensor or one for each output channel.
Sources: TWN (Li et al., 2016), TTQ (Zhu et al., 2017), asymmetric thresholds and the uniform distribution ("Revisiting
ternary neural networks", ICLR 2024 submission). There the scales are trained; here they are least-squares fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

TWN_FACTOR = 0.7


@dataclass(frozen=True)
class Ternary:
    """q int8 [R, N] of -1, 0, 1; positive and negative float64 [R], not below 0: a code 1 means `positive` of its row
    and -1 means -`negative`. One scale: both are equal."""

    q: np.ndarray
    positive: np.ndarray
    negative: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """The weights, float64 [R, N]."""
        return np.where(self.q > 0, self.positive[:, None], np.where(self.q < 0, -self.negative[:, None], 0.0))


def one_scale(w: np.ndarray, q: np.ndarray) -> Ternary:
    """The scale of least squares for given codes: sum(q * w) / sum(q * q) of each row; not below 0."""
    a = np.maximum((q * w).sum(axis=1), 0) / np.maximum((q != 0).sum(axis=1), 1)
    return Ternary(q.astype(np.int8), a, a)


def two_scales(w: np.ndarray, q: np.ndarray) -> Ternary:
    """The scales of least squares for given codes: the mean of the weights of each sign; not below 0."""
    sides = [np.maximum((s * w * (q == s)).sum(axis=1), 0) / np.maximum((q == s).sum(axis=1), 1) for s in (1, -1)]
    return Ternary(q.astype(np.int8), sides[0], sides[1])


def beyond(w: np.ndarray, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Codes int8: 1 above `high`, -1 below `low`; thresholds [R]."""
    return (w > high[:, None]).astype(np.int8) - (w < low[:, None]).astype(np.int8)


def _twn(w: np.ndarray) -> Ternary:
    """The threshold 0.7 * mean |w|, one scale."""
    delta = TWN_FACTOR * np.abs(w).mean(axis=1)
    return one_scale(w, beyond(w, delta, -delta))


def _least_squares(w: np.ndarray) -> Ternary:
    """One scale, the symmetric threshold of least error. Of k weights kept, those of largest magnitude are best, and
    they remove S_k^2 / k of the error, S_k their sum of magnitudes: the largest of these over all k."""
    return one_scale(w, _largest(w, lambda kept: np.abs(kept)))


def _ttq(w: np.ndarray) -> Ternary:
    """Two scales, one symmetric threshold: that of least error. The weights of each sign remove S_k^2 / k."""
    return two_scales(w, _largest(w, lambda kept: np.maximum(kept, 0), lambda kept: np.maximum(-kept, 0)))


def _largest(w: np.ndarray, *sides: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The signs of each row's k weights of largest magnitude, with the k that removes most of the error when each side
    has a scale of its own. A side gives its weights' magnitudes and 0 for those of other sides. Ties stay together,
    so that the choice is one threshold."""
    order = np.argsort(-np.abs(w), axis=1, kind="stable")
    kept = np.take_along_axis(w, order, axis=1)
    removed = np.zeros(w.shape)
    for side in sides:
        m = side(kept)
        removed += m.cumsum(axis=1) ** 2 / np.maximum((m > 0).cumsum(axis=1), 1)
    magnitude = np.abs(kept)
    tied = np.zeros(w.shape, bool)
    tied[:, :-1] = magnitude[:, :-1] == magnitude[:, 1:]
    best = np.where(tied, -1.0, removed).argmax(axis=1)
    threshold = np.take_along_axis(magnitude, best[:, None], axis=1)
    return np.where(np.abs(w) >= threshold, np.sign(w), 0).astype(np.int8)


def _uniform(w: np.ndarray) -> Ternary:
    """A third of the weights for each code (the largest entropy), one scale. Equal weights have equal codes."""
    ordered, third = np.sort(w, axis=1), max(1, round(w.shape[1] / 3))
    return one_scale(w, (w >= ordered[:, -third, None]).astype(np.int8) - (w <= ordered[:, third - 1, None]))


def _asymmetric(w: np.ndarray) -> Ternary:
    """One scale, thresholds 0.43 standard deviations above and below the mean (those that hold a third of a normal
    distribution), but never on the other side of zero."""
    mean, delta = w.mean(axis=1), 0.43 * w.std(axis=1)
    return one_scale(w, beyond(w, np.maximum(mean + delta, 0), np.minimum(mean - delta, 0)))


def ttq_at(w: np.ndarray, t: float) -> Ternary:
    """TTQ with its own threshold, t * max |w|."""
    delta = t * np.abs(w).max(axis=1)
    return two_scales(w, beyond(w, delta, -delta))


@dataclass(frozen=True)
class Method:
    """choose: from rows float64 [R, N] without infinities or NaN to codes and scales. scales: 1, or 2 where positive
    and negative weights have their own. what: for help and reports."""

    choose: Callable[[np.ndarray], Ternary]
    scales: int
    what: str


MethodTable: TypeAlias = Mapping[str, Method]

METHODS: MethodTable = {
    "ternary": Method(_least_squares, 1, "one scale, the threshold of least error"),
    "twn": Method(_twn, 1, "one scale, the threshold 0.7 mean |w|"),
    "ttq": Method(_ttq, 2, "two scales, the threshold of least error or t max |w|"),
    "asymmetric": Method(_asymmetric, 1, "one scale, thresholds around the mean"),
    "uniform": Method(_uniform, 1, "one scale, a third of the weights for each value"),
}


def ternarize(w: np.ndarray, method: str, t: float | None = None) -> Ternary:
    """The rows w [R, N], finite, by a method of the table; t: TTQ's threshold in units of max |w|.

    Works on weights scaled to 1, so that squares of very large or small ones do not leave float64. A row that a rule
    would turn into zeros (all of its weights are equal, say) gets the least-squares threshold.
    """
    rows = np.asarray(w, np.float64)
    size = np.abs(rows).max(axis=1, initial=0)
    unit = np.where(size > 0, size, 1.0)
    scaled = rows / unit[:, None]
    if not scaled.size:
        return Ternary(np.zeros(rows.shape, np.int8), np.zeros(len(rows)), np.zeros(len(rows)))
    found = ttq_at(scaled, t) if t is not None else METHODS[method].choose(scaled)
    lost = ~found.q.any(axis=1) & (size > 0)
    if lost.any():
        rest = METHODS["ternary"].choose(scaled[lost])
        for have, want in zip(
            (found.q, found.positive, found.negative), (rest.q, rest.positive, rest.negative), strict=True
        ):
            have[lost] = want
    return Ternary(found.q, found.positive * unit, found.negative * unit)
