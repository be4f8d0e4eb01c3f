"""Matrix products of floats with ternary and binary weights: weights stay packed, few inputs' sums are looked up.

A product of few rows uses every weight a few times only, so that reading the weights takes the time. Here they are a
tenth of what floats take. Where the target permutes a table in registers, the sums of three ternary or five binary
weights are looked up at once; elsewhere a shift and a mask make a float of a weight, for all rows of a tile.

Weights of two scales (trained ternary quantization) are tables like any other. Sums are float32 sums in another order
than the interpreter's; zero weights count as factors, so that what is not finite becomes NaN as it does there.
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.requests import Dense
from ...engine import Engine, Kernel, Plan, only_dense
from ...epilogue import check_epilogue
from ...target import Target
from .emit import emit_linear
from .plan import NAME, plans
from .problem import read_problem


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See linear_f32.h for the algorithm."""
    problem = read_problem(kernel)
    check_epilogue(kernel, problem.matmul.root, problem.matmul.grid, problem.bias)
    reads = [Dense()] * len(kernel.inputs)
    return [Plan.of(NAME, plan, target, reads, only_dense, emit_linear) for plan in plans(problem, target)]


ENGINE = Engine(NAME, read)
