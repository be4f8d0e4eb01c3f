"""CIFAR-10 as `tercet.torch` trains on it: shifted by up to four pixels and mirrored, all of it in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from data import DEVIATION, MEAN, pictures
from torch import Tensor

BATCH, TEST_BATCH = 128, 500
SIZE, PAD = 32, 4


class TestImages:
    """Batches of [TEST_BATCH, 3, 32, 32] and labels, as often as one likes, as `Cifar10` gives them."""

    def __init__(self, path: str | Path, cache: Path, count: int | None = None) -> None:
        """path: an .npz file of JPEGs, see data.py. cache: where the decoded images are kept. count: of the images."""
        images, labels = _decoded(path, cache)
        self.images, self.labels = torch.from_numpy(images[:count]), labels[:count]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in zip(self.images.split(TEST_BATCH), self.labels.split(TEST_BATCH), strict=True):
            yield _normalised(images), labels


class Cifar10:
    """Batches of float32 [BATCH, 3, 32, 32], channels last, normalised, and labels int64 [BATCH]."""

    def __init__(self, train: str | Path, test: str | Path, cache: Path, *, seed: int = 0) -> None:
        """train, test: .npz files of JPEGs, see data.py. cache: where the decoded images are kept."""
        images, self.labels = _decoded(train, cache)
        padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
        self.seed, side = seed, SIZE + 2 * PAD
        self._pixels = torch.from_numpy(padded).view(len(images), side * side, 3)
        rows, columns = torch.arange(SIZE)[:, None] * side, torch.arange(SIZE)[None]
        self._places = torch.stack([(rows + columns).view(-1), (rows + columns.flip(1)).view(-1)])
        self._tests = TestImages(test, cache)

    @property
    def steps(self) -> int:
        return len(self.labels) // BATCH

    def batches(self, epoch: int, rank: int, processes: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The order, the shifts and the mirrored images follow from the seed and the epoch."""
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.labels), generator=random)[: self.steps * BATCH].view(-1, BATCH)
        shifts = torch.randint(0, 2 * PAD + 1, (2, *order.shape), generator=random)
        mirrored = torch.randint(0, 2, order.shape, generator=random)
        for i in range(rank, len(order) // processes * processes, processes):
            offset = shifts[0, i] * (SIZE + 2 * PAD) + shifts[1, i]
            places = self._places[mirrored[i]] + offset[:, None]
            pixels = torch.gather(self._pixels[order[i]], 1, places[:, :, None].expand(-1, -1, 3))
            yield _normalised(pixels.view(BATCH, SIZE, SIZE, 3)), self.labels[order[i]]

    def test(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self._tests)


def _normalised(images: Tensor) -> Tensor:
    return ((images.float() / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)).permute(0, 3, 1, 2)


def _decoded(path: str | Path, cache: Path) -> tuple[np.ndarray, Tensor]:
    """uint8 [N, 32, 32, 3] and labels int64 [N]; decoded once."""
    kept = cache / f"{Path(path).stem}.decoded.npz"
    if not kept.exists():
        images, labels = pictures(path)
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez(part, images=images.transpose(0, 2, 3, 1), labels=labels.astype(np.int64))
        part.replace(kept)
    with np.load(kept) as file:
        return np.ascontiguousarray(file["images"]), torch.from_numpy(file["labels"])
