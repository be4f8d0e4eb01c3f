"""What a person sees of a run: a progress bar, a line for each epoch, TensorBoard scalars where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Show:
    """Of one epoch after the other. On no terminal only the lines are printed."""

    def __init__(self, steps: int, epochs: int, folder: Path | None, *, quiet: bool = False) -> None:
        self._steps, self._epochs, self._quiet = steps, epochs, quiet
        self._console = Console(stderr=True, quiet=quiet)
        self._scalars = None if quiet or folder is None else _tensorboard(folder)

    @contextmanager
    def epoch(self, number: int) -> Iterator[_Bar]:
        """The bar of an epoch, counted from 0."""
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}")
        bar = Progress(
            *columns, TimeRemainingColumn(), console=self._console, transient=True,
            disable=self._quiet or not self._console.is_terminal,
        )  # fmt: skip
        with bar:
            yield _Bar(bar, bar.add_task(f"epoch {number + 1}/{self._epochs}", total=self._steps, now=""))

    def measured(self, record: dict[str, Any]) -> None:
        """A line for an epoch, and its numbers for TensorBoard."""
        words = [f"epoch {record['epoch']}/{self._epochs}", f"loss {record['loss']:.3f}"]
        words += _shares(record, "train_", "test_")
        words += [f"density {record['density']:.3f}", f"{record['cpu_seconds']:.0f} s of CPU"]
        self._console.print(", ".join(words), highlight=False)
        if self._scalars is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._scalars.add_scalar(name, value, record["epoch"])


    def settled(self, record: dict[str, Any]) -> None:
        """A line for the last epoch, measured again."""
        self._console.print(f"running statistics taken anew: {', '.join(_shares(record, 'test_'))}", highlight=False)


class _Bar:
    def __init__(self, bar: Progress, task: Any) -> None:
        self._bar, self._task = bar, task

    def step(self, loss: float, right: float | None) -> None:
        """right: the share of right answers, where the model classifies."""
        accuracy = "" if right is None else f", accuracy {100 * right:.1f} %"
        self._bar.update(self._task, advance=1, now=f"loss {loss:.3f}{accuracy}")


def _shares(record: dict[str, Any], *kinds: str) -> list[str]:
    return [_measured(name, value) for name, value in record.items() if name.startswith(kinds)]


def _measured(name: str, value: float) -> str:
    """`train 93.21 %` for train_accuracy, `test average precision 0.932` for test_average_precision."""
    kind, _, what = name.partition("_")
    return f"{kind} {100 * value:.2f} %" if what == "accuracy" else f"{kind} {what.replace('_', ' ')} {value:.3f}"


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
