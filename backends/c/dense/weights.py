"""Weights as they are stored: ternary ones as trits, binary ones as bits, others as they are."""

from __future__ import annotations

from math import prod

import numpy as np

from ..engine import Constant

SLACK = 64
"""Bytes after weights that are expanded vector by vector."""


def is_ternary(weights: np.ndarray) -> bool:
    return bool(np.isin(weights, (-1, 0, 1)).all())


def is_binary(weights: np.ndarray) -> bool:
    return bool(np.isin(weights, (-1, 1)).all())


def output_numbers(weights: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The number of each weight's output, from 1 on; axes: of the outputs in `weights`."""
    shape = [size if axis in axes else 1 for axis, size in enumerate(weights.shape)]
    return np.broadcast_to(np.arange(1, prod(shape) + 1, dtype=np.int32).reshape(shape), weights.shape)


def store_bytes(cells: np.ndarray, *, binary: bool) -> Constant:
    """Weights as one int8 each, or for binary ones 0 and 1. Zeros that pad cells may become anything there."""
    padded = np.concatenate([cells.reshape(-1), np.zeros(SLACK, cells.dtype)]).astype(np.int8)
    if binary:
        return Constant((padded > 0).astype(np.uint8), radix=2)
    if is_ternary(padded):
        return Constant((padded + 1).astype(np.uint8), radix=3, offset=-1)
    return Constant(padded)
