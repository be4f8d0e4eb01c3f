"""Several artifacts with the same inputs, such as variants of one network, timed alternately: whole runs and steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...ir.errors import InputError
from ..artifact.layers import Layer
from ..load.loader import load
from .bench import ROUNDS
from .timing import cpu_name, in_turn, interleave, pinned

PROFILED = 5
"""Runs of a round whose median is a step's time."""


@dataclass(frozen=True)
class ArtifactTimes:
    """Of one artifact. seconds: of a whole call, one number for each round. steps: the same for each of its layers.
    library_bytes: of the compiled code with its weights; stored_bytes: of the whole artifact but its manifest."""

    layers: tuple[Layer, ...]
    seconds: tuple[float, ...]
    steps: tuple[tuple[float, ...], ...]
    library_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class SideBySide:
    """artifacts: in the order they were given. cpus: that the process was pinned to, () where it was not."""

    cpu: str
    cpus: tuple[int, ...]
    target: str
    threads: int
    rounds: int
    artifacts: tuple[ArtifactTimes, ...]


def time_side_by_side(
    paths: Sequence[str | Path],
    inputs: Any,
    *,
    threads: int = 1,
    rounds: int = ROUNDS,
    on_round: Callable[[int], None] = lambda number: None,
) -> SideBySide:
    """inputs: what all of them are run with, as for `LoadedModel.run`: kernels that skip zeros depend on them.

    Raises InputError for no artifacts or rounds, and for inputs that an artifact does not take, ArtifactError where one
    cannot be loaded.
    """
    if not paths or rounds < 1:
        raise InputError(f"expected one artifact and one round or more, got {len(paths)} and {rounds}")
    with pinned(threads) as cpus, ExitStack() as stack:
        models = [stack.enter_context(load(path, threads=threads)) for path in paths]
        seconds = interleave([lambda model=model: model.run(inputs) for model in models], rounds, on_round=on_round)
        steps: list[list[list[float]]] = [[] for _ in models]
        for r in range(rounds):
            for i in in_turn(len(models), r):
                steps[i].append(models[i].profile(inputs, PROFILED))
        times = tuple(
            ArtifactTimes(
                model.layers,
                tuple(whole),
                tuple(zip(*parts, strict=True)),
                files[model.manifest.library].bytes,
                sum(file.bytes for file in files.values()),
            )
            for model, files, whole, parts in zip(
                models, [model.manifest.files for model in models], seconds, steps, strict=True
            )
        )
        return SideBySide(cpu_name(), cpus, models[0].target, models[0].threads, rounds, times)
