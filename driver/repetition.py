"""How often weights repeat in the layers of a model or an artifact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..backends.c.sum_search import NativeSearch
from ..ir.repetition import LayerRepetition
from ..passes.sum_merge import repetition
from ..runtime.artifact.artifact import Artifact
from ..runtime.artifact.stored_ir import kernel_program
from ..runtime.check.bench_report import layer_seconds
from .artifacts import artifact_target, is_artifact
from .lowered import lowered
from .options import CompileOptions


def layer_repetition(
    path: str | Path, budget: float, bench: str | Path | None, options: CompileOptions, on_layer: Callable[[str], None]
) -> list[LayerRepetition]:
    """See `api.repetition`."""
    measured = None if bench is None else layer_seconds(bench)
    if is_artifact(path):
        found = Artifact.open(path)
        program = kernel_program(found, found.target(artifact_target(options)))
    else:
        program, _ = lowered(path, options)
    return repetition(program, budget, search=NativeSearch, measured=measured, on_layer=on_layer)
