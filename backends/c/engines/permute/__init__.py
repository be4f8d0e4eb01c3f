"""8-bit activations, weights of {-1, 0, 1}: sums of a few inputs in a register, looked up by a permutation.

Source: docs/kernels-avx512.md, "E"; look-ups of shared sums: see the table engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.requests import Dense
from ...engine import Engine, Kernel, Plan, any_planes
from ...epilogue import check_epilogue, epilogue_reads
from ...refusal import Refused
from ...target import Target
from .emit import emit_permute, offset_of
from .plan import NAME, plans
from .problem import read_problem

NEEDED = ("permute_i16", "madd_u8")


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See permute.h for the algorithm."""
    if missing := [name for name in NEEDED if name not in target.instructions]:
        raise Refused(f"target {target.name} has no {missing[0]}")
    problem = read_problem(kernel)
    conv, found = problem.conv, plans(problem, target)
    check_epilogue(kernel, conv.root, conv.grid, offset_of(problem))
    reads = epilogue_reads(kernel, conv.x, Dense(), conv.grid)
    return [Plan.of(NAME, plan, target, reads, any_planes, emit_permute) for plan in found]


ENGINE = Engine(NAME, read)
