"""Which executor runs the artifacts of which backend: a new backend is a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...ir.errors import ArtifactError
from ..artifact.artifact import Artifact
from .c_executor import CExecutor
from .executor import Executor
from .tvm_executor import TvmExecutor

EXECUTORS: Mapping[str, Callable[[Artifact, int], Executor]] = {"c": CExecutor, "tvm": TvmExecutor}
"""By the manifest's `backend`; called with the artifact and the number of threads."""


def open_executor(artifact: Artifact, threads: int) -> Executor:
    """What runs an artifact on at most `threads` threads. Raises ArtifactError for a backend that is not known."""
    backend = artifact.manifest.backend
    if backend not in EXECUTORS:
        raise ArtifactError(
            f"made by the backend '{backend}', which this tercet cannot run",
            where=str(artifact.path),
            hint=f"it runs: {', '.join(EXECUTORS)}; use the tercet that wrote the artifact",
        )
    return EXECUTORS[backend](artifact, threads)
