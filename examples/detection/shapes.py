"""Pictures to find ellipses in, among rectangles and triangles, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from boxes import SIDE, to_grid
from torch import Tensor

BATCH, TEST_BATCH = 32, 100
SHAPES, PLACES = 4, 3
"""Of each picture: most shapes, and places along a side, of which each shape takes one."""
RADII = 4.0, 10.0
SHIFT = 4.0
NOISE, CONTRAST = 0.05, 0.25
TEST_SEED = 1 << 40


class Pictures(NamedTuple):
    """images: float32 [N, 3, SIDE, SIDE], about 0 to 1. boxes: float32 [N, SHAPES, 4], left, top, right and bottom in
    pixels. present: bool [N, SHAPES], whether it is the box of an ellipse."""

    images: Tensor
    boxes: Tensor
    present: Tensor


class Shapes:
    """Data for `tercet.torch.train`. The targets are grids as in boxes.py."""

    def __init__(self, train: int, test: int, *, seed: int = 0) -> None:
        """train, test: how many pictures an epoch has, and the test."""
        self.steps, self._test, self._seed = train // BATCH, test, seed

    def batches(self, epoch: int, rank: int, processes: int) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(rank, self.steps // processes * processes, processes):
            yield _batch(BATCH, (self._seed * 1_000_003 + epoch) * self.steps + i)

    def test(self) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(0, self._test, TEST_BATCH):
            yield _batch(min(TEST_BATCH, self._test - i), TEST_SEED + i)


def _batch(count: int, seed: int) -> tuple[Tensor, Tensor]:
    pictures = draw(count, seed)
    return pictures.images, to_grid(pictures.boxes, pictures.present)


def draw(count: int, seed: int) -> Pictures:
    """Pictures of up to four shapes, each of its own colour. Later ones cover earlier ones in part; the centres of two
    lie in different cells of the grid."""
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=random)

    places = uniform(PLACES * PLACES).argsort(1)[:, :SHAPES]
    radii = uniform(SHAPES, 2, low=RADII[0], high=RADII[1])
    middle = (torch.stack([places % PLACES, places // PLACES], 2) + 0.5) * SIDE / PLACES
    middle = (middle + uniform(SHAPES, 2, low=-SHIFT, high=SHIFT)).clamp(radii, SIDE - radii)
    kinds, drawn = (uniform(SHAPES) * 3).long(), uniform(SHAPES) < 0.75
    ground, slope = uniform(3, 1, 1), uniform(3, 1, 1, low=-0.2, high=0.2)
    images = ground + slope * torch.linspace(-1, 1, SIDE)
    colours = (ground[:, None] + uniform(SHAPES, 3, 1, 1, low=CONTRAST, high=1 - CONTRAST)) % 1
    masks = _masks(middle, radii, kinds) & drawn[:, :, None, None]
    for i in range(SHAPES):
        images = torch.where(masks[:, i, None], colours[:, i], images)
    images = images + NOISE * torch.randn(count, 3, SIDE, SIDE, generator=random)
    return Pictures(images, torch.cat([middle - radii, middle + radii], 2), drawn & (kinds == 0))


def _masks(middle: Tensor, radii: Tensor, kinds: Tensor) -> Tensor:
    """Which pixels each shape covers, bool [N, SHAPES, SIDE, SIDE]: an ellipse, a rectangle or a triangle."""
    pixels = torch.arange(SIDE) + 0.5
    x, y = ((pixels - middle[:, :, i, None]) / radii[:, :, i, None] for i in range(2))
    x, y = x[:, :, None, :], y[:, :, :, None]
    inside = (x.abs() <= 1) & (y.abs() <= 1)
    covered = torch.stack([x * x + y * y <= 1, inside, inside & (x.abs() <= (y + 1) / 2)], 2)
    return covered.gather(2, kinds[:, :, None, None, None].expand(-1, -1, 1, SIDE, SIDE))[:, :, 0]
