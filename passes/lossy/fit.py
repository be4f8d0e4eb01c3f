"""Fits codes and scales to a layer's outputs: least sum of (W z - V x)^2 over the calibration data, V the new weights.

x is what the layer reads in the lossy network and z what it read in the float one, so that a layer also mends what the
layers before it spoiled. With H = sum x x^T and C = sum x z^T the error of a row v is v H v - 2 v C w plus a constant.
Coordinate descent: each weight in turn takes the level nearest to its optimum with the others fixed; after every sweep
the scales are solved for. No step increases the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .methods import Ternary
from .statistics import InputProducts

SWEEPS = 6
DAMPING = 0.01
"""At least so much is added to the diagonals of H and C, in units of H's mean diagonal: it pulls towards the float
weights. More where the data has few positions for the number of weights and would be fitted too well."""


@dataclass(frozen=True)
class Target:
    """h [G, N, N], and t = C w [G, R, N] for the R rows of each of G groups, float64."""

    h: np.ndarray
    t: np.ndarray


def target_of(w: np.ndarray, products: InputProducts) -> Target:
    """w: rows [G * R, N]."""
    groups, n = products.own.shape[:2]
    part = max(DAMPING, n / max(products.count, 1))
    damping = part * products.own.diagonal(axis1=1, axis2=2).mean(axis=1)
    identity = np.where(damping > 0, damping, 1.0)[:, None, None] * np.eye(n)
    rows = w.reshape(groups, -1, n).astype(np.float64)
    return Target(products.own + identity, rows @ (products.cross + identity).transpose(0, 2, 1))


def errors(values: np.ndarray, target: Target) -> np.ndarray:
    """The error of each row less its constant part, [G, R]; values [G, R, N]."""
    return ((values @ target.h - 2 * target.t) * values).sum(axis=2)


def fit(start: Ternary, target: Target, *, scales: int, shared: bool, signs: np.ndarray | None = None) -> Ternary:
    """Codes and scales of less error than `start`. scales: 1 or 2; shared: by all rows. signs: int8 [R, N], the only
    sign that each weight may have (0: any)."""
    groups, _, n = target.t.shape
    q = start.q.reshape(groups, -1, n).astype(np.int8)
    scale = np.stack([start.positive, start.negative]).reshape(2, groups, -1)
    signs = np.zeros(q.shape, np.int8) if signs is None else signs.reshape(q.shape)
    for _ in range(SWEEPS):
        before = q.copy()
        _sweep(q, scale, target, signs)
        scale = _scales(q, scale, target, scales, shared)
        if np.array_equal(before, q):
            break
    flat = scale.reshape(2, -1)
    return Ternary(q.reshape(start.q.shape), flat[0], flat[1])


def _values(q: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.where(q > 0, scale[0][..., None], np.where(q < 0, -scale[1][..., None], 0.0))


def _sweep(q: np.ndarray, scale: np.ndarray, target: Target, signs: np.ndarray) -> None:
    """One pass over all coordinates, all rows at once; changes q."""
    v = _values(q, scale)
    gradient = v @ target.h - target.t
    diagonal = target.h.diagonal(axis1=1, axis2=2)
    for j in range(q.shape[2]):
        best = v[:, :, j] - gradient[:, :, j] / diagonal[:, j, None]
        code = (best > scale[0] / 2).astype(np.int8) - (best < -scale[1] / 2).astype(np.int8)
        code = np.where((signs[:, :, j] != 0) & (code != signs[:, :, j]), 0, code).astype(np.int8)
        new = np.where(code > 0, scale[0], np.where(code < 0, -scale[1], 0.0))
        change = new - v[:, :, j]
        if change.any():
            gradient += change[:, :, None] * target.h[:, j, None, :]
            v[:, :, j], q[:, :, j] = new, code


def _scales(q: np.ndarray, scale: np.ndarray, target: Target, scales: int, shared: bool) -> np.ndarray:
    """The scales [2, G, R] of least error for given codes; what cannot be solved for, or would turn negative, stays."""
    sides = [q.astype(np.float64)] if scales == 1 else [(q > 0).astype(np.float64), -(q < 0).astype(np.float64)]
    met = [side @ target.h for side in sides]
    normal = np.array([[(a * b).sum(axis=2) for b in sides] for a in met])
    wanted = np.array([(side * target.t).sum(axis=2) for side in sides])
    if shared:
        normal, wanted = normal.sum(axis=(2, 3), keepdims=True), wanted.sum(axis=(1, 2), keepdims=True)
    if scales == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.repeat(wanted / normal[0], 2, axis=0)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            determinant = normal[0, 0] * normal[1, 1] - normal[0, 1] * normal[1, 0]
            found = np.stack(
                [
                    (wanted[0] * normal[1, 1] - wanted[1] * normal[0, 1]) / determinant,
                    (wanted[1] * normal[0, 0] - wanted[0] * normal[1, 0]) / determinant,
                ]
            )
    found = np.broadcast_to(found, scale.shape)
    usable = (np.isfinite(found) & (found > 0)).all(axis=0)
    return np.where(usable, found, scale)
