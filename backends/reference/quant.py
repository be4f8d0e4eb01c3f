"""The bridge between floats and integers: quantize, dequantize, threshold."""

from __future__ import annotations

import numpy as np

from ...ir.tn.quant import DequantizeOp, QuantizeOp, RequantizeOp, SelectThresholdOp, ThresholdOp
from .elementwise import ROUNDINGS, saturate
from .meaning import meaning

_FEW = 8
"""Up to so many thresholds, comparing with each is faster than a binary search."""


@meaning(QuantizeOp)
def quantize(op: QuantizeOp, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return saturate(ROUNDINGS[op.get("mode")](x / scale), op.get("lo"), op.get("hi"))


@meaning(DequantizeOp)
def dequantize(op: DequantizeOp, q: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return q.astype(np.float32) * scale


def _quotient(a: np.ndarray, b: np.ndarray, mode: str) -> np.ndarray:
    """a / b rounded to a whole number, exactly; int64 arrays, b > 0."""
    below = a // b
    twice = 2 * (a - below * b) - b  # negative, 0 or positive: nearer to `below`, a tie, nearer to the next one
    match mode:
        case "floor":
            up = np.zeros(below.shape, bool)
        case "ceil":
            up = twice > -b
        case "up":
            up = (a > 0) & (twice > -b)
        case "down":
            up = (a < 0) & (twice > -b)
        case "half_up":
            up = (twice > 0) | ((twice == 0) & (a > 0))
        case "half_down":
            up = (twice > 0) | ((twice == 0) & (a < 0))
        case _:
            up = (twice > 0) | ((twice == 0) & (below % 2 != 0))
    return below + up


@meaning(RequantizeOp)
def requantize(op: RequantizeOp, x: np.ndarray, multiplier: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    return np.clip(_quotient(x * multiplier, divisor, op.get("mode")), op.get("lo"), op.get("hi"))


def count_passed(x: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """#{T in thresholds[c] : x >= T} for x [C, M] and ascending thresholds [C or 1, n]; NaN passes none."""
    if thresholds.shape[1] <= _FEW:
        count = np.zeros(x.shape, np.int64)
        for i in range(thresholds.shape[1]):
            count += x >= thresholds[:, i : i + 1]
        return count
    if len(thresholds) == 1:
        count = np.searchsorted(thresholds[0], x, side="right")
    else:
        rows = [np.searchsorted(t, row, side="right") for t, row in zip(thresholds, x, strict=True)]
        count = np.stack(rows) if rows else np.zeros(x.shape, np.int64)
    # A binary search sorts NaN after everything.
    return np.where(np.isnan(x), 0, count) if x.dtype.kind == "f" else count


@meaning(ThresholdOp)
def threshold(op: ThresholdOp, x: np.ndarray, thresholds: np.ndarray, sign: np.ndarray | None = None) -> np.ndarray:
    by_channel = np.moveaxis(x, op.get("axis"), 0) if x.ndim else x.reshape(1)
    rest = int(np.prod(by_channel.shape[1:]))
    count = count_passed(by_channel.reshape(by_channel.shape[0], rest), thresholds)
    if sign is not None:
        count = np.where(sign[:, None] < 0, thresholds.shape[1] - count, count)
    y = (op.get("base") + op.get("step") * count).reshape(by_channel.shape)
    return np.moveaxis(y, 0, op.get("axis")) if x.ndim else y.reshape(())


@meaning(SelectThresholdOp)
def select_threshold(
    op: SelectThresholdOp,
    x: np.ndarray,
    selector: np.ndarray,
    thresholds: np.ndarray,
    sign: np.ndarray | None = None,
) -> np.ndarray:
    axis, choices = op.get("axis"), range(thresholds.shape[1])
    table = np.moveaxis(np.broadcast_to(thresholds, (x.shape[axis], *thresholds.shape[1:])), 0, -1)  # [R, n, C]
    along = [1] * x.ndim
    along[axis] = x.shape[axis]
    count = np.zeros(x.shape, np.int64)
    for choice in choices:
        chosen = selector == op.get("first") + choice
        for row in table[choice]:
            count += chosen & (x >= row.reshape(along))
    if sign is not None:
        flip = np.broadcast_to(sign, x.shape[axis]).reshape(along) < 0
        count = np.where(flip, thresholds.shape[2] - count, count)
    return op.get("base") + op.get("step") * count
