"""The bit-sliced engine: activations and weights of {-1, 0, 1}, pixels in the bits of vectors.

Lists name the planes that an output adds, tables hold the sums of three inputs for all weights. Bit-serial counting
with carry-save adders is Harley-Seal's population count (Mula, Kurz, Lemire 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

from .....ir.kn.layout import BitRowsLayout, Layout, PlanesLayout
from .....ir.kn.requests import BitRows, LayoutRequest
from .....ir.types import BIPOLAR, element_of
from ...convolutions.problem import Problem, layout_requests, read_problem
from ...engine import Engine, Kernel, Plan, any_planes
from ...refusal import Refused
from ...target import Target
from .list_emit import emit_lists
from .list_plan import NAME, ListPlan, list_plans
from .table_emit import emit_tables
from .table_plan import table_plans


def read(kernel: Kernel, target: Target) -> Sequence[Plan]:
    """See the plans for the choices and the headers for the algorithms."""
    problem, found, reasons = _problem(kernel), list[Plan](), list[str]()
    bipolar, reads = element_of(problem.root.x) == BIPOLAR, layout_requests(kernel, problem)
    try:
        found += [_of_lists(kernel, plan, reads) for plan in list_plans(problem, bipolar, target)]
    except Refused as reason:
        reasons.append(str(reason))
    try:
        tables = table_plans(problem, bipolar, target)
        found += [Plan.of(NAME, plan, target, reads, any_planes, emit_tables) for plan in tables]
    except Refused as reason:
        reasons.append(str(reason))
    if not found:
        raise Refused("; ".join(reasons))
    return sorted(found, key=lambda plan: plan.cycles)


def _problem(kernel: Kernel) -> Problem:
    problem = read_problem(kernel)
    if problem.lo < -1 or problem.hi > 1 or problem.unsigned:
        raise Refused(f"expected activations of {{-1, 0, 1}}, got {problem.lo}..{problem.hi}")
    levels = problem.levels
    if levels is not None and levels.choices > 1 and (levels.first < -1 or levels.first + levels.choices > 2):
        raise Refused("expected a selector of {-1, 0, 1}")
    return problem


def _of_lists(kernel: Kernel, plan: ListPlan, requests: Sequence[LayoutRequest]) -> Plan:
    """A plan with lists: maps may lie in rows of bits. requests: the layouts of maps that do not."""
    levels, x = plan.problem.levels, plan.problem.root.x
    alone = levels is not None or len(list(x.uses)) == 1  # an epilogue may read it again, in bytes
    rows = [alone and plan.rows_in(), *[False] * len(requests[1:])]
    if levels is not None and levels.selector is not None:
        operand = kernel.input_index(levels.selector)
        assert operand is not None
        rows[operand] = plan.rows_like(levels.selector.type) and (operand > 0 or rows[0])
    reads = [BitRows() if bits else request for bits, request in zip(rows, requests, strict=True)]
    writes_rows = levels is not None and plan.rows_like(kernel.op.yielded[0].type)

    def writes(layout: Layout) -> bool:
        return isinstance(layout, PlanesLayout) or (isinstance(layout, BitRowsLayout) and writes_rows)

    return Plan.of(NAME, plan, plan.target, reads, writes, emit_lists)


ENGINE = Engine(NAME, read)
