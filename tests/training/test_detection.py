"""The example in examples/detection: its boxes, its measure, and all of it in a small setting."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")

import torch
from torch import Tensor

EXAMPLE = Path(__file__).parents[2] / "examples" / "detection"
MODULES = ("boxes", "shapes")


@pytest.fixture
def detection(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, ...]]:
    """The modules of the example, which lie beside its script; other examples have modules of the same names."""
    monkeypatch.syspath_prepend(EXAMPLE)
    yield tuple(importlib.import_module(name) for name in MODULES)
    for name in MODULES:
        sys.modules.pop(name)


def logits_of(grid: Tensor) -> Tensor:
    """Logits of which a grid is the sigmoid; of scores as sure as a float can say."""
    return grid.clamp(1e-6, 1 - 1e-6).logit()


def test_boxes_survive_the_grid(detection: tuple[Any, ...]) -> None:
    boxes, shapes = detection
    pictures = shapes.draw(20, 3)
    grid = boxes.to_grid(pictures.boxes, pictures.present)
    assert grid[:, 0].sum() == pictures.present.sum() > 10
    for found, all_boxes, present in zip(boxes.decode(logits_of(grid)), pictures.boxes, pictures.present, strict=True):
        want = all_boxes[present]
        assert len(found.boxes) == len(want)
        order = [int(boxes.overlap(box, found.boxes).argmax()) for box in want]
        torch.testing.assert_close(found.boxes[order], want, rtol=0, atol=1e-3)
    truth = [(logits_of(grid), grid)]
    assert boxes.average_precision(truth) == 1 and boxes.loss(*truth[0]) < 1e-3


def test_pictures_follow_from_the_seed(detection: tuple[Any, ...]) -> None:
    _, shapes = detection
    one, again, other = shapes.draw(4, 7), shapes.draw(4, 7), shapes.draw(4, 8)
    assert torch.equal(one.images, again.images) and not torch.equal(one.images, other.images)
    data = shapes.Shapes(100, 150)
    halves = [list(data.batches(2, rank, 2)) for rank in range(2)]
    assert data.steps == 3 and [len(half) for half in halves] == [1, 1]
    assert torch.equal(halves[1][0][0], list(data.batches(2, 0, 1))[1][0])
    assert sum(len(images) for images, _ in data.test()) == 150


def test_shapes_fill_their_boxes(detection: tuple[Any, ...]) -> None:
    _, shapes = detection
    middle, radii = torch.tensor([[[20.0, 30.0]]]), torch.tensor([[[8.0, 5.0]]])
    ellipse, rectangle, triangle = (shapes._masks(middle, radii, torch.tensor([[kind]]))[0, 0] for kind in range(3))
    for mask in (ellipse, rectangle):
        rows, columns = torch.nonzero(mask, as_tuple=True)
        assert (columns.min(), columns.max(), rows.min(), rows.max()) == (12, 27, 25, 34)
    assert rectangle.sum() == 160 and triangle.sum() == pytest.approx(80, abs=10)
    assert ellipse.sum() == pytest.approx(3.1416 * 40, abs=5)


def test_average_precision(detection: tuple[Any, ...]) -> None:
    """Two objects; boxes in the order of their scores: right, wrong (the first object again), right."""
    boxes, _ = detection
    truth = torch.tensor([[[0.0, 0.0, 16.0, 16.0], [32.0, 32.0, 48.0, 48.0]]])
    grid = boxes.to_grid(truth, torch.ones(1, 2, dtype=torch.bool))
    found = boxes.to_grid(
        torch.tensor([[[0.0, 0.0, 16.0, 12.0], [4.0, 9.0, 20.0, 25.0], [33.0, 32.0, 49.0, 48.0]]]),
        torch.ones(1, 3, dtype=torch.bool),
    )
    scores = found[:, 0].clone()
    for (y, x), score in {(0, 1): 0.9, (2, 1): 0.8, (5, 5): 0.7}.items():
        assert scores[0, y, x] == 1
        scores[0, y, x] = score
    logits = logits_of(torch.cat([scores[:, None], found[:, 1:]], 1))
    assert boxes.average_precision([(logits, grid)]) == pytest.approx((1 + 2 / 3) / 2)
    assert boxes.average_precision([(logits, grid), (torch.full_like(logits, -9), grid)]) == pytest.approx(5 / 12)
    nothing = torch.zeros_like(grid)
    assert boxes.average_precision([(torch.full_like(logits, -9), nothing)]) == 0


@pytest.mark.check
def test_the_example_runs(tmp_path: Path) -> None:
    settings = ["--epochs", "3", "--pictures", "1024", "--test", "200", "--rounds", "3"]
    command = [sys.executable, str(EXAMPLE / "detect.py"), "-o", str(tmp_path), *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.stdout.splitlines()
        if line.startswith(("| float", "| ternary"))
    ]
    assert [row[0] for row in rows] == ["float", "ternary"]
    (_, by_torch, by_artifact, density, weights, *_), ternary = rows
    assert by_torch == by_artifact and density == "1.00" and float(by_torch) > 0.1
    assert float(ternary[1]) > 0.1 and float(ternary[3]) < 0.9 and 10 * int(ternary[4]) < int(weights)
    assert re.search(r"^ellipse, score [01]\.\d\d: from x ", done.stdout, re.MULTILINE), done.stdout
    assert "test average precision" in done.stderr
