"""Finds signed-binary structure in trained weights: in which blocks do all weights have one sign?"""

from __future__ import annotations

import numpy as np

from .regions import RegionShape

TILES = (64, 32, 16, 8, 4, 2, 1)
SHAPES = (
    RegionShape(None, None),
    RegionShape(1, None),
    *(RegionShape(size, None) for size in TILES if size > 1),
    *(RegionShape(None, size) for size in TILES),
    *(RegionShape(1, size) for size in TILES),
)


def one_sided_share(q: np.ndarray, shape: RegionShape) -> float:
    """The share of regions whose weights all are >= 0 or all <= 0. q: [O, C, *K], integers or floats."""
    index = shape.index(q.shape[0], q.shape[1], int(np.prod(q.shape[2:]))).reshape(-1)
    count = int(index.max(initial=-1)) + 1
    if not count:
        return 1.0
    flat = q.reshape(-1)
    mixed = (np.bincount(index, flat > 0, count) > 0) & (np.bincount(index, flat < 0, count) > 0)
    return float(1 - mixed.mean())


def recognize(q: np.ndarray) -> RegionShape | None:
    """The largest shape of which every region has one sign, None where there is none with more than one channel.

    q: [O, C, *K] of -1, 0, 1 (times anything). Regions that start elsewhere than at multiples of their size are not
    found.
    """
    sizes = {shape: _weights_in(shape, q) for shape in SHAPES if _fits(shape, q)}
    fitting = [shape for shape in sizes if one_sided_share(q, shape) == 1]
    return max(fitting, key=lambda shape: sizes[shape], default=None)


def _fits(shape: RegionShape, q: np.ndarray) -> bool:
    """Shapes of one weight prove nothing, nor do those that are larger than the layer."""
    inside = all(
        part is None or part <= size for part, size in zip((shape.outputs, shape.channels), q.shape, strict=False)
    )
    return inside and _weights_in(shape, q) > max(int(np.prod(q.shape[2:])), 1)


def _weights_in(shape: RegionShape, q: np.ndarray) -> int:
    outputs, channels = shape.outputs or q.shape[0], shape.channels or q.shape[1]
    return outputs * channels * int(np.prod(q.shape[2:]))
