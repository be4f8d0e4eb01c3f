"""Activations and weights of {-1, 0, 1}: bits of channels side by side, ones counted.

Source: docs/kernels-avx512.md, "A"; counting the ones of an exclusive or is XNOR-Net's (Rastegari et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .....ir.kn.requests import Bits
from ...bit_products.fields import offset_of
from ...bit_products.problem import layout_requests, read_problem, writes
from ...engine import Engine, Kernel, Plan
from ...epilogue import check_epilogue
from ...target import Target
from .emit import emit_popcount
from .plan import NAME, plans
from .plan import Plan as Popcount


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See popcount.h for the algorithm."""
    return as_plans(kernel, plans(read_problem(kernel), target))


def as_plans(kernel: Kernel, found: Sequence[Popcount]) -> list[Plan]:
    """The face of plans of one kernel. Raises Refused where what follows the sums cannot be computed."""
    problem, levels = found[0].problem, found[0].levels
    if levels is None:
        check_epilogue(kernel, problem.root, problem.grid, offset_of(problem))
    reads = layout_requests(
        kernel, problem, levels, Bits(problem.axis, 1 if problem.channels % 64 == 0 else problem.groups)
    )
    return [Plan.of(NAME, plan, plan.target, reads, partial(writes, problem, levels), emit_popcount) for plan in found]


ENGINE = Engine(NAME, read)
