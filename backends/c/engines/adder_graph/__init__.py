"""The adder-graph engine: small ternary convolutions as straight-line additions of shared sums, pixels in the lanes.

Source: docs/sum-merge.md; the graphs come from the pass sum-merge.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...convolutions.problem import layout_requests
from ...engine import Engine, Kernel, Plan, any_planes
from ...refusal import Refused
from ...target import Target
from .emit import emit_graph
from .plan import CODE_SHARE_OF_L2, NAME, read_plan


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """plan.py holds what is decided, adder_graph.h what every kernel calls."""
    plan, most = read_plan(kernel, target), round(CODE_SHARE_OF_L2 * target.l2)
    if plan.code_bytes > most:
        raise Refused(f"expected at most {most} bytes of code, got about {plan.code_bytes}")
    return [Plan.of(NAME, plan, target, layout_requests(kernel, plan.problem), any_planes, emit_graph)]


ENGINE = Engine(NAME, read, packed=False)
