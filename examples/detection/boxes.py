"""Boxes: as a grid of cells, as lists, and how good those that were found are.

A grid is [N, 5, CELLS, CELLS]. The cell in which a box has its centre describes it: whether there is one, where the
centre lies in the cell (x, y), and the size (width, height). A network gives a logit for each of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

SIDE, CELLS = 64, 8
CELL = SIDE // CELLS
LARGEST = 32.0
"""Pixels, the side of the largest box."""
LEAST_SCORE, SAME = 0.05, 0.5
"""Boxes of a lower score are not looked at; what overlaps more than this is the same object."""


class Found(NamedTuple):
    """Boxes [n, 4] of one picture, left, top, right and bottom in pixels, and their scores [n], the highest first."""

    boxes: Tensor
    scores: Tensor


def to_grid(boxes: Tensor, present: Tensor) -> Tensor:
    """The grid of boxes [N, n, 4], of which some are present, [N, n]: values from 0 to 1."""
    sample, _ = torch.nonzero(present, as_tuple=True)
    boxes = boxes[present]
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2 / CELL, (boxes[:, 2:] - boxes[:, :2]) / LARGEST
    x, y = middle.long().unbind(1)
    grid = torch.zeros(len(present), 5, CELLS, CELLS)
    grid[sample, :, y, x] = torch.cat([torch.ones(len(boxes), 1), middle % 1, size], 1)
    return grid


def to_boxes(grid: Tensor) -> Tensor:
    """The box of each cell, [N, CELLS, CELLS, 4]."""
    _, x, y, width, height = grid.unbind(1)
    cells = torch.arange(CELLS, device=grid.device)
    x, y = (x + cells) * CELL, (y + cells[:, None]) * CELL
    width, height = width * LARGEST / 2, height * LARGEST / 2
    return torch.stack([x - width, y - height, x + width, y + height], 3)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """The intersection of boxes over their union, of two tensors [.., 4] that are broadcast."""
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    common = sides.prod(-1)
    return common / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - common)


def loss(logits: Tensor, grid: Tensor) -> Tensor:
    """The cross entropy of the scores, and 1 - overlap of the boxes where there is one; for each box."""
    there = grid[:, 0] > 0
    scores = binary_cross_entropy_with_logits(logits[:, 0], grid[:, 0], reduction="sum")
    missed = 1 - overlap(to_boxes(logits.sigmoid())[there], to_boxes(grid)[there])
    return (scores + missed.sum()) / there.sum().clamp(min=1)


def decode(logits: Tensor) -> list[Found]:
    """What a network found in each picture: of boxes that overlap only the one with the highest score."""
    grid = logits.sigmoid()
    return [_apart(b.reshape(-1, 4), g[0].reshape(-1)) for b, g in zip(to_boxes(grid), grid, strict=True)]


def _apart(boxes: Tensor, scores: Tensor) -> Found:
    order = [i for i in scores.argsort(descending=True).tolist() if scores[i] >= LEAST_SCORE]
    kept: list[int] = []
    for i in order:
        if not kept or overlap(boxes[i], boxes[kept]).max() <= SAME:
            kept.append(i)
    return Found(boxes[kept], scores[kept])


def average_precision(found: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Of batches of logits, and of grids of what there is: the area under precision over recall, where precision is the
    best at this recall or a higher one (as PASCAL VOC has it since 2010)."""
    scores, right, there = [torch.zeros(0)], [torch.zeros(0)], 0
    for logits, grids in found:
        for one, boxes, grid in zip(decode(logits), to_boxes(grids), grids, strict=True):
            truth = boxes[grid[0] > 0]
            there += len(truth)
            scores.append(one.scores)
            right.append(_right(one.boxes, truth))
    order = torch.cat(scores).argsort(descending=True, stable=True)
    hits = torch.cat(right)[order]
    precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
    best = precision.flip(0).cummax(0).values.flip(0)
    return float((best * hits).sum() / max(there, 1))


def _right(boxes: Tensor, truth: Tensor) -> Tensor:
    """For each box, the highest score first, 1 where the object that it overlaps most is covered by half or more, and
    by no box before; else 0."""
    right, taken = torch.zeros(len(boxes)), set[int]()
    if len(truth):
        for i, overlaps in enumerate(overlap(boxes[:, None], truth)):
            j = int(overlaps.argmax())
            if overlaps[j] >= SAME and j not in taken:
                taken.add(j)
                right[i] = 1
    return right
