"""Few-valued activations and weights: the weights of inputs that are not zero are added, outputs in lanes.

Source: docs/kernels-avx512.md, "C".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .....ir.kn.requests import Bits
from ...bit_products.fields import offset_of
from ...bit_products.problem import layout_requests, writes
from ...engine import Engine, Kernel, Plan
from ...epilogue import check_epilogue
from ...target import Target
from .emit import emit_active_inputs
from .forms import read_form
from .plan import NAME, plans
from .plan import Plan as ActiveInputs


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See active_inputs.h for the algorithm."""
    return as_plans(kernel, plans(read_form(kernel), target))


def as_plans(kernel: Kernel, found: Sequence[ActiveInputs]) -> list[Plan]:
    """The face of plans of one kernel. Raises Refused where what follows the sums cannot be computed."""
    problem = found[0].problem
    if problem.levels is None:
        check_epilogue(kernel, problem.root, problem.grid, offset_of(problem))
    reads = layout_requests(kernel, problem, problem.levels, Bits(problem.axis))
    can_write = partial(writes, problem, problem.levels)
    return [Plan.of(NAME, plan, plan.target, reads, can_write, emit_active_inputs) for plan in found]


ENGINE = Engine(NAME, read)
