"""The one place that lists the passes in order, and runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..ir.errors import IRError
from ..ir.program import Program
from .base import Pass
from .canonicalize import Canonicalize
from .classify_weights import ClassifyWeights
from .exact_averages import ExactAverages
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .hoist_strides import HoistStrides
from .lossy.ternarize import Ternarize
from .properties import Property
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


KNOWN: tuple[Pass, ...] = (
    ExactAverages(),
    ProveBatch(),
    Canonicalize(),
    FoldConstants(),
    Ternarize(),
    ClassifyWeights(),
    RecoverQuantizers(),
    FoldBatchNorm(),
    HoistStrides(),
    RefineRanges(),
    Thresholds(),
)
"""Every pass of the graph with its default options: what a pipeline's text can name."""

DEFAULT_THRESHOLDS = Thresholds()


def graph_passes(lossy: Sequence[Pass] = (), thresholds: Pass = DEFAULT_THRESHOLDS) -> list[Pass]:
    """From the imported program to integer kernels' mathematics: independent of engine and target, and exact but for
    the lossy passes that a user asked for. thresholds: with the options that suit a backend."""
    return [
        *passes_before_lossy(),
        *lossy,
        ClassifyWeights(),
        RecoverQuantizers(),
        FoldBatchNorm(),
        FoldConstants(),
        HoistStrides(),
        RefineRanges(),
        thresholds,
        FoldConstants(everything=True),
        Canonicalize(),
    ]


def passes_before_lossy() -> list[Pass]:
    """What a lossy pass can rely on: the batch is known, and weights that are computed from constants are constants."""
    return [ProveBatch(), Canonicalize(), FoldConstants()]


def numbered(passes: Sequence[Pass]) -> list[Stage]:
    """Passes as stages, numbered from 1 (the imported program is number 0)."""
    return [Stage(i, step) for i, step in enumerate(passes, start=1)]


Observer = Callable[[str, Program, bool], None]
"""Sees the label of a pass, the program after it, and whether the pass changed the program."""


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def run_passes(
    program: Program, passes: Sequence[Stage], observe: Observer | None = None, *, contracts: bool = False
) -> None:
    """Applies passes in order and verifies the program after each that changed it. contracts: checks what each pass
    requires and ensures, too. Raises IRError for what does not hold."""
    for stage in passes:
        if contracts:
            check_properties(program, stage.step.requires, f"pass '{stage.name}' requires")
        if changed := stage.step.apply(program):
            program.drop_unused_weights()
            program.verify()
        if contracts:
            check_properties(program, stage.step.ensures, f"pass '{stage.name}' ensures")
        if observe is not None:
            observe(stage.label, program, changed)


def check_properties(program: Program, properties: Sequence[Property], who: str) -> None:
    """Raises IRError for the first that does not hold."""
    for one in properties:
        if broken := one.broken(program):
            raise IRError(f"{who} '{one.name}'; not so: {broken}")
