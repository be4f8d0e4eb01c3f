"""The C of a linear kernel: its epilogue, its shape as a constant struct, its register tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...dense.emit import TILE_HEADER
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS, Epilogue
from ...text import Lines, kernel_head
from .plan import DEFINES, RUN, Plan

HERE = Path(__file__).parent
TILE_HEADERS = (TILE_HEADER, HERE / "linear.h")
SHORT = {"int8": "i8", "uint8": "u8", "int16": "i16"}


def emit_linear(kernel: Kernel, plan: Plan) -> KernelCode:
    problem, symbol, lanes = plan.problem, kernel.symbol, plan.lanes
    constants = Constants()
    start = constants.add(plan.fields.packed(plan.columns, lanes // plan.columns, plan.depth))
    filled = 0 if plan.fields.uniform else plan.column_panels * lanes - problem.columns
    count = 1 if plan.fields.uniform else problem.columns
    scale, rest = (
        constants.add(Constant(np.pad(values[:count], (0, filled)))) for values in (plan.fields.scale, plan.fields.rest)
    )
    epilogue = Epilogue(kernel, problem.root, problem.grid, RUN)
    out = Lines()
    out.add(epilogue.build(plan.fields.offset(kernel, problem, plan.inputs), constants))
    out.add(
        f"static const struct linear {symbol}_shape = {{",
        f"    .inputs = {problem.inputs}, .columns = {problem.columns},",
        f"    .column_panels = {plan.column_panels},",
        f"    .steps = {plan.steps}, .depth = {plan.depth},",
        f"    .pitch = {plan.pitch},",
        f"    .panels = {{{plan.panels.count}, {plan.panels.panels}, {plan.panels.tall}}},",
        f"    .group_panels = {plan.group_panels}, .span = {plan.span},",
        f"    .share_rows = {int(plan.share_rows)}, .grain = {plan.grain},",
        f"    .x = {plan.x}, .totals = {plan.totals}, .cells = {plan.cells}, .sums = {plan.sums},",
        "};",
        "",
    )
    with out.block(f"static int32_t {symbol}_pack(int8_t *to, const void *map, int64_t first)"):
        out.add(
            f"return linear_pack_{SHORT[plan.inputs.stored]}(to, (const {plan.inputs.stored}_t *)map + first, "
            f"{problem.inputs}, {plan.inputs.shift});"
        )
    tiles = [_tile(out, plan, f"{symbol}_{name}", rows) for name, rows in _heights(plan)]
    out.add("")
    with out.block(kernel_head(symbol)):
        out.add(
            f"linear_product(task, &{symbol}_shape, task->weights + {start}, (const int8_t *)task->weights + {scale},",
            f"               (const int8_t *)task->weights + {rest}, {symbol}_pack, {symbol}_finish,",
            f"               {', '.join(tiles)}, {lanes}, {8 // plan.fields.bits // plan.columns}, {plan.cell.kind}, "
            f"{int(plan.fields.uniform)});",
        )
    return KernelCode(out.text(), constants, (*TILE_HEADERS, *HEADERS), plan.scratch, defines=DEFINES)


def _heights(plan: Plan) -> list[tuple[str, int]]:
    return [("tall", plan.panels.tall), ("short", plan.panels.tall - 1)]


def _tile(out: Lines, plan: Plan, name: str, rows: int) -> str:
    """Writes the register tile of `rows` rows. Returns its name, NULL where no panel has so many."""
    if rows not in plan.panels.sizes():
        return "NULL"
    out.add("")
    head = f"LINEAR_TILE {name}("
    out.add(f"{head}const unsigned char *weights, const unsigned char *x, dense_cell *sums,")
    with out.block(f"{' ' * len(head)}int64_t panels, int steps, int first)"):
        shape = f"{rows}, {plan.columns}, {plan.fields.bits}, {plan.cell.kind}"
        out.add(f"linear_tile(weights, x, sums, panels, steps, first, {shape});")
    return name
