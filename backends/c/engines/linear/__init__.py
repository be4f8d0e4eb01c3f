"""Matrix products with weights of {-1, 0, 1} on 8-bit inputs: 1 or 2 bits a weight, unpacked in registers.

A product of few rows uses every weight a few times only, so that reading the weights takes the time. Here they stay
packed until a register holds them, and all rows of a tile share what is unpacked.
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.requests import Dense
from ...dense.problem import read_matmul
from ...engine import Engine, Kernel, Plan, only_dense
from ...epilogue import check_epilogue
from ...refusal import Refused
from ...target import Target
from .emit import emit_linear
from .plan import NAME, plans
from .weights import Inputs, read_fields


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See linear.h for the algorithm."""
    problem = read_matmul(kernel)
    inputs = Inputs.of(problem)
    if kernel.ternary(problem.root.operands[1]) is None:
        raise Refused("expected weights of {-1, 0, 1}")
    fields = read_fields(problem.weights)
    check_epilogue(kernel, problem.root, problem.grid, fields.offset(kernel, problem, inputs))
    reads = [Dense()] * len(kernel.inputs)
    return [
        Plan.of(NAME, plan, target, reads, only_dense, emit_linear) for plan in plans(problem, fields, inputs, target)
    ]


ENGINE = Engine(NAME, read)
