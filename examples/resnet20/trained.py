"""Networks of training runs, from their checkpoints. Nothing is written to the folder of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kept import CHECKPOINT
from model import ResNet20
from torch import nn
from train import SETTINGS

import tercet

EXAMPLE = torch.zeros(2, 3, 32, 32)
ANY_BATCH = ({0: torch.export.Dim("batch")},)


@dataclass(frozen=True)
class Trained:
    """setting: of train.py. module: in evaluation mode. epochs, planned: done, and of the whole run; 0 of the float
    network that all begin with. hours: of CPU, for training. accuracy: on the test images, after the last epoch."""

    setting: str
    module: nn.Module
    epochs: int = 0
    planned: int = 0
    hours: float = 0.0
    accuracy: float = 0.0

    @property
    def finished(self) -> bool:
        return self.epochs == self.planned

    @property
    def progress(self) -> str:
        if not self.planned:
            return ""
        return str(self.epochs) if self.finished else f"{self.epochs} of {self.planned}"


def trained(runs: Path) -> Iterator[Trained]:
    """The network of every run that train.py has begun in a folder, by name."""
    for path in sorted(runs.glob(f"resnet20-*/{CHECKPOINT}")):
        named = re.fullmatch(r"resnet20-(.+)-\d+", path.parent.name)
        if named and named[1] in SETTINGS:
            yield read(path, named[1])


def read(path: Path, setting: str) -> Trained:
    """The network of a checkpoint."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    module = tercet.torch.prepare(ResNet20(), SETTINGS[setting].scheme, example_inputs=(EXAMPLE,))
    module.load_state_dict(state["model"])
    history, stages = state["history"], state["recipe"]["stages"]
    return Trained(
        setting,
        module.eval(),
        state["epochs"],
        sum(stage["epochs"] for stage in stages),
        sum(record["cpu_seconds"] for record in history) / 3600,
        history[-1]["test_accuracy"],
    )
