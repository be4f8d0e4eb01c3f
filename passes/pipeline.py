"""The one place that lists the passes in order, and runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..ir.program import Program
from .base import Pass
from .canonicalize import Canonicalize
from .classify_weights import ClassifyWeights
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .prove_batch import ProveBatch
from .recover_quantizers import RecoverQuantizers
from .refine_ranges import RefineRanges
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


def numbered(passes: Sequence[Pass]) -> list[Stage]:
    """Passes as stages, numbered from 1 (the imported program is number 0)."""
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
