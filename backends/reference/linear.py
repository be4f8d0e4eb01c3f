"""Convolution, matrix product and batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from .meaning import meaning


def _magnitude(array: np.ndarray) -> int:
    return max(abs(int(array.min())), abs(int(array.max()))) if array.size else 0


def exact_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """numpy.matmul of a and b: float operands as they are, int64 operands exactly (modulo 2^64).

    Integers go through the fastest BLAS type in which no partial sum can round, in whatever order it adds.
    """
    if a.dtype.kind == "f":
        return a @ b
    bound = a.shape[-1] * _magnitude(a) * _magnitude(b)
    for dtype, limit in ((np.float32, 1 << 24), (np.float64, 1 << 53)):
        if bound <= limit:
            return (a.astype(dtype) @ b.astype(dtype)).astype(np.int64)
    return a @ b


def columns(x: np.ndarray, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> np.ndarray:
    """im2col of an already padded x [N, C, *S]: [N, C, *kernel, *S']."""
    rank = len(kernel)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    windows = sliding_window_view(x, spans, axis=tuple(range(2, 2 + rank)))
    picked = windows[(..., *(slice(None, None, s) for s in strides), *(slice(None, None, d) for d in dilations))]
    return np.moveaxis(picked, range(2, 2 + rank), range(2 + rank, 2 + 2 * rank))


@meaning(ConvOp)
def conv(op: ConvOp, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """x [N, C, *S], w [O, C / group, *K] -> [N, O, *S'] by im2col and one matrix product a group."""
    pads, group, rank = op.get("pads"), op.get("group"), x.ndim - 2
    if any(pads):
        x = np.pad(x, [(0, 0), (0, 0), *((pads[i], pads[i + rank]) for i in range(rank))])
    taps = columns(x, w.shape[2:], op.get("strides"), op.get("dilations"))
    size, terms = taps.shape[2 + rank :], int(np.prod(w.shape[1:]))
    pixels, outputs = int(np.prod(size)), w.shape[0]
    y = exact_product(
        w.reshape(group, outputs // group, terms), taps.reshape(x.shape[0], group, terms, pixels)
    ).reshape(x.shape[0], outputs, *size)
    return y if bias is None else y + bias.reshape(-1, *(1,) * rank)


@meaning(MatMulOp)
def matmul(op: MatMulOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return exact_product(a, b)


@meaning(BatchNormOp)
def batch_norm(
    op: BatchNormOp, x: np.ndarray, scale: np.ndarray, bias: np.ndarray, mean: np.ndarray, var: np.ndarray
) -> np.ndarray:
    k = scale / np.sqrt(var + np.float32(op.get("epsilon")))
    channels = (-1, *(1,) * (x.ndim - 2))
    return x * k.reshape(channels) + (bias - mean * k).reshape(channels)
