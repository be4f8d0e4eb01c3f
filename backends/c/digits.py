"""Float weights that take two or three values, up to a scale for each output, as digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAME = np.float32(4e-7)
"""Relative difference up to which weights count as equal: what scaling a float32 twice may leave, a few last bits."""


@dataclass(frozen=True)
class Digits:
    """Weights as scale[o] * values[digit].

    values: two or three floats; the first of three, and of {0, 1}, is 0. digits: uint8 of the weights' shape.
    scale: float32 [O].
    """

    values: tuple[float, ...]
    digits: np.ndarray
    scale: np.ndarray

    @property
    def radix(self) -> int:
        return len(self.values)


def find_digits(weights: np.ndarray) -> Digits | None:
    """Weights [O, ..] float32 as digits, within SAME; None where they have no such form.

    That is a set of weights {-Wn, 0, Wp}, {-Wn, Wp} or {0, W} that all output channels share, and a scale of either
    sign for each channel: binary, ternary, signed-binary and two-scale ternary (TTQ) weights, also after a batch norm
    that was folded into them.
    """
    rows = weights.reshape(len(weights), -1)
    if not rows.size or not np.isfinite(rows).all():
        return None
    largest, smallest = _side(rows), _side(-rows)
    if largest is None or smallest is None:
        return None
    both = (largest > 0) & (smallest > 0)
    if not both.any():
        unit = max(largest.max(), smallest.max()) or np.float32(1)
        scale = np.where(smallest > 0, -smallest, largest) / unit
        return Digits((0.0, float(unit)), (weights != 0).astype(np.uint8), _scale(scale))
    first = int(np.argmax(both))
    plus, minus = largest[first], smallest[first]
    straight = both & _same(largest * minus, smallest * plus)
    turned = both & ~straight & _same(smallest * minus, largest * plus)
    if not (both == straight | turned).all():
        return None
    scale = np.where(turned, -smallest / plus, np.where(largest > 0, largest / plus, smallest / minus))
    sign = np.sign(weights) * np.sign(scale).reshape(-1, *(1,) * (weights.ndim - 1))
    if (weights != 0).all():
        return Digits((float(-minus), float(plus)), (sign > 0).astype(np.uint8), _scale(scale))
    return Digits((0.0, float(plus), float(-minus)), (sign.astype(np.int8) % 3).astype(np.uint8), _scale(scale))


def _side(rows: np.ndarray) -> np.ndarray | None:
    """The one positive value of each row, 0 where it has none; None where a row has several."""
    most = np.where(rows > 0, rows, 0).max(axis=1)
    least = np.where(rows > 0, rows, np.inf).min(axis=1)
    return most if _same(most, np.where(np.isinf(least), 0, least)).all() else None


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a - b) <= SAME * np.maximum(np.abs(a), np.abs(b))


def _scale(scale: np.ndarray) -> np.ndarray:
    """Scales as float32, exactly 1 where they are so but for rounding or do not matter: nothing is multiplied then."""
    one = _same(scale, np.ones(1)) | (scale == 0)
    return np.where(one, 1, scale).astype(np.float32)
