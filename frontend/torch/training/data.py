"""What the training loop asks of data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from torch import Tensor

Batch = tuple[Tensor, Any]
"""Inputs, and targets: a tensor, or tuples, lists and dicts of tensors."""


class Data(Protocol):
    """Batches of inputs and targets. steps: batches of an epoch, of all processes together."""

    @property
    def steps(self) -> int: ...

    def batches(self, epoch: int, rank: int, processes: int) -> Iterable[Batch]:
        """The batches of one process in an epoch, as many for each, steps // processes.

        They must follow from the arguments and a seed alone, so that a run that was killed sees the same ones when it
        goes on."""
        ...

    def test(self) -> Iterable[Batch]:
        """What the model is measured on after each epoch."""
        ...
