"""The C of a linear_f32 kernel: its epilogue, its shape as a constant struct, its register tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...dense.emit import TILE_HEADER
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS, Epilogue
from ...text import Lines, float_c, kernel_head
from .plan import DEFINES, RUN, Plan

HERE = Path(__file__).parent
TILE_HEADERS = (TILE_HEADER, HERE / "linear_f32.h")


def emit_linear(kernel: Kernel, plan: Plan) -> KernelCode:
    problem, symbol, form = plan.problem, kernel.symbol, plan.form
    matmul, constants, out = problem.matmul, Constants(), Lines()
    start = constants.add(problem.packed(form, plan.vectors, plan.target.lanes(np.float32), plan.depth))
    values = constants.add(Constant(problem.table_values(form))) if form.tables else 0
    scale, scales = problem.digits.scale, -1
    if (scale != 1).any():
        scales = constants.add(Constant(np.pad(scale, (0, plan.column_panels * plan.lanes - matmul.columns))))
    out.add(Epilogue(kernel, matmul.root, matmul.grid, RUN).build(problem.bias, constants))
    out.add(
        f"static const struct linear_f32 {symbol}_shape = {{",
        f"    .inputs = {matmul.inputs}, .columns = {matmul.columns},",
        f"    .column_panels = {plan.column_panels},",
        f"    .steps = {plan.steps}, .depth = {plan.depth},",
        f"    .factor = {float_c(problem.factor(form))},",
        f"    .panels = {{{plan.panels.count}, {plan.panels.panels}, {plan.panels.tall}}},",
        f"    .group_panels = {plan.group_panels}, .span = {plan.span},",
        f"    .share_rows = {int(plan.share_rows)}, .grain = {plan.grain},",
        f"    .values = {values}, .scales = {scales},",
        f"    .cells = 0, .sums = {plan.sums},",
        "};",
    )
    tall, short = (_tile(out, plan, f"{symbol}_{name}", rows) for name, rows in _heights(plan))
    out.add("")
    with out.block(kernel_head(symbol)):
        out.add(
            f"linear_f32_product(task, &{symbol}_shape, task->weights + {start}, {symbol}_finish,",
            f"                   {tall}, {short}, {plan.lanes}, {form.group}, {_enum(plan)});",
        )
    return KernelCode(out.text(), constants, (*TILE_HEADERS, *HEADERS), plan.scratch, defines=DEFINES)


def _heights(plan: Plan) -> list[tuple[str, int]]:
    return [("tall", plan.panels.tall), ("short", plan.panels.tall - 1)]


def _enum(plan: Plan) -> str:
    return f"LINEAR_F32_{plan.form.name.upper()}"


def _tile(out: Lines, plan: Plan, name: str, rows: int) -> str:
    """Writes the register tile of `rows` rows. Returns its name, NULL where no panel has so many."""
    if rows not in plan.panels.sizes():
        return "NULL"
    one, other = (0.0, 0.0) if plan.form.tables else plan.problem.values(plan.form)
    head = f"LINEAR_F32_TILE {name}("
    out.add("", f"{head}const unsigned char *weights, const float *cells, float *sums, int64_t panels,")
    with out.block(f"{' ' * len(head)}int steps, int first)"):
        shape = f"{rows}, {plan.vectors}, {float_c(one)}, {float_c(other)}"
        out.add(f"linear_f32_tile(weights, cells, sums, panels, steps, first, {shape}, {_enum(plan)});")
    return name
