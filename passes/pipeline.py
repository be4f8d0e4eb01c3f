"""The one place that lists the passes in order, and runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..backends.c.engine import Engine
from ..backends.c.target import Target
from ..ir.program import Program
from .assign_layouts import AssignLayouts
from .base import Pass
from .canonicalize import Canonicalize
from .classify_weights import ClassifyWeights
from .finish_outputs import FinishOutputs
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .plan_memory import PlanMemory
from .prove_batch import ProveBatch
from .recover_quantizers import RecoverQuantizers
from .refine_ranges import RefineRanges
from .select_engines import SelectEngines
from .thresholds import Thresholds


@dataclass(frozen=True)
class Stage:
    """A pass and its number in the pipeline: `03-fold-constants` in dumps and `--after`."""

    number: int
    step: Pass

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def label(self) -> str:
        return f"{self.number:02d}-{self.name}"


def graph_passes() -> list[Pass]:
    """From the imported program to integer kernels' mathematics: exact, independent of engine and target."""
    return [
        ProveBatch(),
        Canonicalize(),
        FoldConstants(),
        ClassifyWeights(),
        RecoverQuantizers(),
        FoldBatchNorm(),
        FoldConstants(),
        RefineRanges(),
        Thresholds(),
        FoldConstants(everything=True),
        Canonicalize(),
    ]


def kernel_passes(target: Target, engines: Sequence[Engine], fallback: Sequence[Engine] = ()) -> list[Pass]:
    """From `tn` to `kn`: kernels, layouts, memory. fallback: engines for operations that no other engine takes."""
    return [
        FinishOutputs(),
        SelectEngines(target, engines, fallback),
        AssignLayouts(target, [*engines, *fallback]),
        PlanMemory(),
    ]


def stages(target: Target, engines: Sequence[Engine], fallback: Sequence[Engine] = ()) -> list[Stage]:
    """All passes, numbered from 1 (the imported program is number 0)."""
    passes = [*graph_passes(), *kernel_passes(target, engines, fallback)]
    return [Stage(i, step) for i, step in enumerate(passes, start=1)]


Observer = Callable[[str, Program], None]


def run_passes(program: Program, passes: Sequence[Stage], observe: Observer | None = None) -> None:
    """Applies passes in order and verifies the program after each. `observe` sees each label and the program."""
    for stage in passes:
        stage.step.apply(program)
        program.drop_unused_weights()
        program.verify()
        if observe is not None:
            observe(stage.label, program)
