"""What is measured on calibration data: moments of channels, products of layer inputs, and signal-to-noise ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...backends.reference.linear import columns
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.types import shape_of

MOST_COLUMNS = 16384
"""So many positions of a layer's input are looked at, evenly spread over the samples."""


def snr(signal: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float | None:
    """10 log10(sum of squares of the signal / of the difference); None where nothing differs or there is no signal."""
    power = sum(float(np.sum(np.square(a, dtype=np.float64))) for a in signal)
    noise = sum(
        float(np.sum(np.square(a.astype(np.float64) - b))) for a, b in zip(signal, other, strict=True) if a is not b
    )
    return float(10 * np.log10(power / noise)) if power > 0 and noise > 0 else None


def moments(samples: Sequence[np.ndarray], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every index of `axis`, float64, over everything else and all samples."""
    others = tuple(i for i in range(samples[0].ndim) if i != axis % samples[0].ndim)
    count = sum(a.size for a in samples) / max(samples[0].shape[axis], 1)
    mean = sum(a.sum(axis=others, dtype=np.float64) for a in samples) / count
    shape = [-1 if i == axis % samples[0].ndim else 1 for i in range(samples[0].ndim)]
    square = sum(np.square(a - mean.reshape(shape)).sum(axis=others) for a in samples) / count
    return mean, np.sqrt(square)


@dataclass(frozen=True)
class InputProducts:
    """Of a layer's inputs x (in the lossy network) and z (in the float one), both less their means: own = sum x x^T and
    cross = sum x z^T, float64 [groups, N, N], N the weights of one output; count: of positions in the sums."""

    own: np.ndarray
    cross: np.ndarray
    count: int


def input_products(op: ConvOp | MatMulOp, lossy: Sequence[np.ndarray], plain: Sequence[np.ndarray]) -> InputProducts:
    """The products over all samples. Means are taken off because a bias can correct for them."""
    same = all(a is b for a, b in zip(lossy, plain, strict=True))
    most = max(1, MOST_COLUMNS // len(lossy))
    x = np.concatenate([_positions(op, a, most) for a in lossy], axis=2)
    x -= x.mean(axis=2, keepdims=True)
    own = (x @ x.transpose(0, 2, 1)).astype(np.float64)
    if same:
        return InputProducts(own, own, x.shape[2])
    z = np.concatenate([_positions(op, a, most) for a in plain], axis=2)
    z -= z.mean(axis=2, keepdims=True)
    return InputProducts(own, (x @ z.transpose(0, 2, 1)).astype(np.float64), x.shape[2])


def _positions(op: ConvOp | MatMulOp, x: np.ndarray, most: int) -> np.ndarray:
    """What the weights of one output meet, [groups, N, positions], at no more than `most` positions."""
    if isinstance(op, MatMulOp):
        found = x.reshape(1, -1, x.shape[-1]).transpose(0, 2, 1)
    else:
        pads, group, rank = op.get("pads"), op.get("group"), x.ndim - 2
        x = np.pad(x, [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))])
        taps = columns(x, shape_of(op.w)[2:], op.get("strides"), op.get("dilations"))
        terms = int(np.prod(shape_of(op.w)[1:]))
        found = taps.reshape(x.shape[0], group, terms, -1).transpose(1, 2, 0, 3).reshape(group, terms, -1)
    step = -(-found.shape[2] // most)
    return found[:, :, ::step]
