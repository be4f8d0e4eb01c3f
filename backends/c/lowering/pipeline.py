"""The order of the C backend's own passes, after those of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....passes.base import Pass
from ....passes.finish_outputs import FinishOutputs
from ....passes.pipeline import KNOWN, Stage, graph_passes, numbered
from ....passes.sum_merge import SumMerge
from ....passes.thresholds import Thresholds
from ..engine import Engine
from ..plans import Plans
from ..sum_search import compiled_search
from ..target import Target
from .assign_layouts import AssignLayouts
from .plan_memory import PlanMemory
from .select_engines import SelectEngines
from .settle_engines import SettleEngines
from .tune import Bench, Tune


@dataclass(frozen=True)
class Tuning:
    """What measures, and how many candidates of a kernel. Without a bench the predictions decide."""

    bench: Bench | None = None
    candidates: int = 0


NO_TUNING = Tuning()

THRESHOLDS = Thresholds(most_levels=15, most_choices=4)
"""More levels (over 4 bits) are cheaper to quantize in float than to compare; a shortcut of more values (over 2 bits)
is cheaper to add in float."""

SUM_MERGE = SumMerge(None, most_weights=150_000, block_weights=2048, block_rows=8)
"""Straight-line code of more weights takes the C compiler long and leaves the second-level cache: docs/sum-merge.md.
Larger blocks save up to 10% of the additions, but take longer to find and hold more sums at a time than a processor
holds near: no faster as code."""


def kernel_passes(
    target: Target,
    engines: Sequence[Engine],
    fallback: Sequence[Engine] = (),
    tuning: Tuning = NO_TUNING,
    plans: Plans | None = None,
) -> list[Pass]:
    """From `tn` to `kn`: kernels, layouts, memory. fallback: engines for operations that no other engine takes. plans:
    gets what the passes ask engines about; of these engines."""
    plans = plans or Plans(target, [*engines, *fallback])
    return [
        FinishOutputs(),
        replace(SUM_MERGE, search=compiled_search() if any(not engine.packed for engine in engines) else None),
        SelectEngines(plans, engines, fallback),
        SettleEngines(plans, engines),
        Tune(plans, tuning.bench, tuning.candidates),
        AssignLayouts(plans),
        PlanMemory(),
    ]


def all_passes(
    target: Target,
    engines: Sequence[Engine],
    fallback: Sequence[Engine] = (),
    tuning: Tuning = NO_TUNING,
    lossy: Sequence[Pass] = (),
    plans: Plans | None = None,
) -> list[Pass]:
    """Those of the graph, with what suits this backend, then its own."""
    return [*graph_passes(lossy, THRESHOLDS), *kernel_passes(target, engines, fallback, tuning, plans)]


def stages(target: Target, engines: Sequence[Engine], fallback: Sequence[Engine] = ()) -> list[Stage]:
    """All passes, numbered from 1 (the imported program is number 0)."""
    return numbered(all_passes(target, engines, fallback))


def known_passes(target: Target, engines: Sequence[Engine], fallback: Sequence[Engine] = ()) -> dict[str, Pass]:
    """By name, every pass that a pipeline's text can name, with its default options."""
    return {step.name: step for step in (*KNOWN, *kernel_passes(target, engines, fallback))}
