"""The adder-graph engine: small ternary convolutions as straight-line additions of shared sums, pixels in the lanes.

Source: docs/sum-merge.md; the graphs come from the pass sum-merge. The prior work is "Straight-line adder graph" of
docs/kernels.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...engine import Cost, Kernel, KernelCode, LayoutRequest, Schedule
from ...target import Target
from ..table.problem import Refused, layout_requests
from .emit import emit_graph
from .plan import CODE_SHARE_OF_L2, read_plan


class AdderGraphEngine:
    """The protocol of backends/c/engine.py; plan.py holds what is decided, adder_graph.h what every kernel calls."""

    name = "adder_graph"
    packed = False

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            plan = read_plan(kernel, target)
        except Refused as reason:
            return str(reason)
        most = round(CODE_SHARE_OF_L2 * target.l2)
        if plan.code_bytes > most:
            return f"want at most {most} bytes of code, have about {plan.code_bytes}"
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [read_plan(kernel, target).schedule()]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return read_plan(kernel, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        return layout_requests(kernel)

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return True

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        return emit_graph(kernel, read_plan(kernel, target))


ENGINE = AdderGraphEngine()
