"""The one place that lists the passes in order, and runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

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
from .settle_engines import SettleEngines
from .sum_merge import SumMerge
from .thresholds import Thresholds
from .tune import Bench, Tune


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


def graph_passes(lossy: Sequence[Pass] = ()) -> list[Pass]:
    """From the imported program to integer kernels' mathematics: independent of engine and target, and exact but for
    the lossy passes that a user asked for."""
    return [
        *passes_before_lossy(),
        *lossy,
        ClassifyWeights(),
        RecoverQuantizers(),
        FoldBatchNorm(),
        FoldConstants(),
        RefineRanges(),
        Thresholds(),
        FoldConstants(everything=True),
        Canonicalize(),
    ]


def passes_before_lossy() -> list[Pass]:
    """What a lossy pass can rely on: the batch is known, and weights that are computed from constants are constants."""
    return [ProveBatch(), Canonicalize(), FoldConstants()]


@dataclass(frozen=True)
class Tuning:
    """What measures, and how many candidates of a kernel. Without a bench the predictions decide."""

    bench: Bench | None = None
    candidates: int = 0


NO_TUNING = Tuning()


def kernel_passes(
    target: Target, engines: Sequence[Engine], fallback: Sequence[Engine] = (), tuning: Tuning = NO_TUNING
) -> list[Pass]:
    """From `tn` to `kn`: kernels, layouts, memory. fallback: engines for operations that no other engine takes."""
    return [
        FinishOutputs(),
        SumMerge(wanted=any(not engine.packed for engine in engines)),
        SelectEngines(target, engines, fallback),
        SettleEngines(target, engines, fallback),
        Tune(target, [*engines, *(e for e in fallback if e not in engines)], tuning.bench, tuning.candidates),
        AssignLayouts(target, [*engines, *fallback]),
        PlanMemory(),
    ]


def stages(
    target: Target,
    engines: Sequence[Engine],
    fallback: Sequence[Engine] = (),
    tuning: Tuning = NO_TUNING,
    lossy: Sequence[Pass] = (),
) -> list[Stage]:
    """All passes, numbered from 1 (the imported program is number 0)."""
    passes = [*graph_passes(lossy), *kernel_passes(target, engines, fallback, tuning)]
    return [Stage(i, step) for i, step in enumerate(passes, start=1)]


Observer = Callable[[str, Program], None]


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def run_passes(program: Program, passes: Sequence[Stage], observe: Observer | None = None) -> None:
    """Applies passes in order and verifies the program after each. `observe` sees each label and the program."""
    for stage in passes:
        stage.step.apply(program)
        program.drop_unused_weights()
        program.verify()
        if observe is not None:
            observe(stage.label, program)
