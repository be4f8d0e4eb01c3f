"""The table engine: ternary and binary convolutions by look-ups of partial sums, neighbouring pixels in the lanes.

Source: the prior work in docs/kernels.md, "Table, pixels in lanes"; the shared sums go back to UCNN (Hegde et al. 2018)
and to table look-ups for binary weights, e.g. BiQGEMM (Jeon et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...convolutions.problem import layout_requests, read_problem
from ...engine import Engine, Kernel, Plan, any_planes
from ...target import Target
from .emit import emit_table
from .plan import NAME, Planner

CANDIDATES = 4


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See plan.py for the choices, table_sums.h and table.h for the algorithm."""
    problem = read_problem(kernel)
    reads = layout_requests(kernel, problem)
    found = Planner(problem, target).plans()[:CANDIDATES]
    return [Plan.of(NAME, plan, target, reads, any_planes, emit_table) for plan in found]


ENGINE = Engine(NAME, read)
