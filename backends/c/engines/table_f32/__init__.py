"""The float table engine: float convolutions with ternary and binary weights by look-ups, taps sharing their tables.

Source: the tables of the table engine; that the taps of a filter read one table at shifted places is our own step, and
what makes tables pay for as few as 64 output channels in float. Weights of two scales (trained ternary quantization,
Zhu et al. 2017) cost no more: the scales are in the tables.

Sums are float32 sums in another order than the interpreter's; zero weights count as factors, so that what is not finite
becomes NaN as it does there.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import Engine, Kernel, Plan, any_planes
from ...target import Target
from .emit import emit_table
from .plan import NAME, plans
from .problem import read_problem

CANDIDATES = 3


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See plan.py for the choices and table_f32.h for the algorithm."""
    chosen = plans(read_problem(kernel), target)[:CANDIDATES]
    return [Plan.of(NAME, plan, target, plan.problem.reads(kernel), any_planes, emit_table) for plan in chosen]


ENGINE = Engine(NAME, read)
