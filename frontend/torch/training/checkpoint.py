"""A run's state between two epochs, on disk: complete, replaced at once, and read without running anything in it."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ....ir.errors import InputError
from .recipe import DEFAULTS

FILE = "checkpoint.pt"
UNREADABLE = (KeyError, ValueError, RuntimeError, EOFError, OSError, pickle.UnpicklingError)
"""What reading a file raises that is no checkpoint."""


@dataclass
class Progress:
    """How far a run is. history: what was measured after each epoch. settled: whether the statistics were taken anew
    after the last one."""

    epochs: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    settled: bool = False


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, recipe: Any) -> None:
    """Writes the checkpoint of a folder. A run that is killed meanwhile finds the old one."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epochs": progress.epochs,
        "history": progress.history,
        "settled": progress.settled,
        "recipe": recipe,
    }
    part = folder / f"{FILE}.part"
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def resume(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Any) -> Progress:
    """Puts the state of a folder's checkpoint into model and optimizer; a new Progress where there is none.

    Raises InputError for a file that is no checkpoint, and for one of another model or recipe.
    """
    path = folder / FILE
    if not path.exists():
        return Progress()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        begun = {**DEFAULTS, **state["recipe"]}  # a run of an older version lacks what it did not know
        if changed := [name for name in {**begun, **recipe} if begun.get(name) != recipe.get(name)]:
            raise InputError(
                f"is from a run with another recipe: {', '.join(changed)}",
                where=str(path),
                hint="choose another folder",
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return Progress(state["epochs"], state["history"], state.get("settled", False))
    except UNREADABLE as error:
        raise InputError(f"cannot be resumed from: {error}", where=str(path), hint="choose another folder") from error


def history_of(folder: Path) -> list[dict[str, Any]]:
    """What was measured after each epoch of the run in a folder. Raises InputError where it has no checkpoint."""
    path = folder / FILE
    try:
        history = torch.load(path, map_location="cpu", weights_only=True)["history"]
    except FileNotFoundError as error:
        raise InputError("there is no checkpoint", where=str(path), hint="give the folder of a run") from error
    except (*UNREADABLE, TypeError) as error:
        raise InputError(f"is no checkpoint: {error}", where=str(path), hint="give the folder of a run") from error
    if not isinstance(history, list):
        raise InputError(f"is no checkpoint: its history is a {type(history).__name__}", where=str(path))
    return history
