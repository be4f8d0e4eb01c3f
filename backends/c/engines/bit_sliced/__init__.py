"""The bit-sliced engine: activations and weights of {-1, 0, 1}, pixels in the bits of vectors.

Lists name the planes that an output adds (docs/kernels-avx512.md, "B"), tables hold the sums of three inputs for all
weights (docs/kernels.md, "Bit-sliced with group tables"). Bit-serial counting with carry-save adders is Harley-Seal's
population count (Mula, Kurz, Lemire 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.bit_rows import BitRowsLayout
from .....ir.kn.bits import BitsLayout
from .....ir.types import BIPOLAR, element_of
from ...engine import BitRows, Cost, Kernel, KernelCode, LayoutRequest, Schedule
from ...target import Target
from ..table.problem import Problem, Refused, layout_requests, read_problem
from .list_emit import emit_lists
from .list_plan import ListPlan, list_plans
from .table_emit import emit_tables
from .table_plan import TablePlan, table_plans


class BitSlicedEngine:
    """The protocol of backends/c/engine.py; see the plans for the choices and the headers for the algorithms."""

    name = "bit_sliced"
    packed = True

    def accepts(self, kernel: Kernel, target: Target) -> str:
        try:
            _plans(kernel, target)
        except Refused as reason:
            return str(reason)
        return ""

    def schedules(self, kernel: Kernel, target: Target) -> Sequence[Schedule]:
        return [plan.schedule() for plan in _plans(kernel, target)]

    def cost(self, kernel: Kernel, schedule: Schedule, target: Target) -> Cost:
        return _plan(kernel, schedule, target).cost()

    def reads(self, kernel: Kernel, schedule: Schedule, target: Target) -> Sequence[LayoutRequest]:
        plan, requests = _plan(kernel, schedule, target), layout_requests(kernel)
        if isinstance(plan, TablePlan):
            return requests
        levels, x = plan.problem.levels, plan.problem.root.x
        alone = levels is not None or len(list(x.uses)) == 1  # an epilogue may read it again, in bytes
        rows = [alone and plan.rows_in(), *[False] * len(requests[1:])]
        if levels is not None and levels.selector is not None:
            operand = kernel.input_index(levels.selector)
            assert operand is not None
            rows[operand] = plan.rows_like(levels.selector.type) and (operand > 0 or rows[0])
        return [BitRows() if bits else request for bits, request in zip(rows, requests, strict=True)]

    def writes_planes(self, kernel: Kernel, schedule: Schedule, target: Target) -> bool:
        return True

    def writes_bits(
        self, kernel: Kernel, schedule: Schedule, target: Target, layout: BitsLayout | BitRowsLayout
    ) -> bool:
        plan = _plan(kernel, schedule, target)
        if not isinstance(layout, BitRowsLayout) or isinstance(plan, TablePlan) or plan.problem.levels is None:
            return False
        return plan.rows_like(kernel.op.yielded[0].type)

    def emit(self, kernel: Kernel, target: Target) -> KernelCode:
        plan = _plan(kernel, kernel.op.schedule_values, target)
        return emit_tables(kernel, plan) if isinstance(plan, TablePlan) else emit_lists(kernel, plan)


def _problem(kernel: Kernel) -> tuple[Problem, bool]:
    """The problem, and whether its activations are -1 and 1."""
    problem = read_problem(kernel)
    if problem.lo < -1 or problem.hi > 1 or problem.unsigned:
        raise Refused(f"want activations of {{-1, 0, 1}}, have {problem.lo}..{problem.hi}")
    levels = problem.levels
    if levels is not None and levels.choices > 1 and (levels.first < -1 or levels.first + levels.choices > 2):
        raise Refused("want a selector of {-1, 0, 1}")
    return problem, element_of(problem.root.x) == BIPOLAR


def _plans(kernel: Kernel, target: Target) -> list[ListPlan | TablePlan]:
    """All plans, the cheapest first. Raises Refused where there is none."""
    problem, bipolar = _problem(kernel)
    found, reasons = list[ListPlan | TablePlan](), list[str]()
    for form in (list_plans, table_plans):
        try:
            found += form(problem, bipolar, target)
        except Refused as reason:
            reasons.append(str(reason))
    if not found:
        raise Refused("; ".join(reasons))
    return sorted(found, key=lambda plan: plan.cost().cycles)


def _plan(kernel: Kernel, schedule: Schedule, target: Target) -> ListPlan | TablePlan:
    """The plan of a schedule. Raises Refused where there is none."""
    wanted = list_plans if "pitch" in schedule else table_plans
    return next(plan for plan in wanted(*_problem(kernel), target) if plan.schedule() == schedule)


ENGINE = BitSlicedEngine()
