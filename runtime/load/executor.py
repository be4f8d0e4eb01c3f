"""What a loaded model is run by: the interface that every backend's artifacts are executed through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np


class Executor(Protocol):
    """Runs the steps of one artifact. Made by `executors.open_executor`.

    One call at a time: `LoadedModel` sees to that, and to arrays: contiguous, in the stored dtypes, and outputs are
    written. target: the name of the one of the artifact's that it runs. threads: how many its runs use. arena_bytes: of
    the working memory.
    """

    target: str
    threads: int
    arena_bytes: int

    def run(self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None: ...

    def bind(self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Callable[[], None]:
        """What runs with these arrays, at as little cost as can be. They outlive its last call."""
        ...

    def run_until(self, step: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The results of a step for one sample, in the dtypes they have in memory."""
        ...

    def results(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """The results of every step for one sample."""
        ...

    def profile(
        self, batch: int, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], repeats: int
    ) -> np.ndarray:
        """Seconds of every step, float64 [repeats, steps]."""
        ...

    def close(self) -> None:
        """Frees everything. Nothing is called afterwards."""
        ...
