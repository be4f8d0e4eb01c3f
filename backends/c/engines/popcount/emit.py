"""The C of a popcount kernel: its shape as a constant struct, its register tiles, thresholds as limits of counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .....ir.kn.bits import planes_in_bits
from .....ir.kn.layout import bits_of
from ...bit_maps import BIT_MAP_HEADERS
from ...bit_products.fields import (
    clear_borders,
    level_bits,
    offset_of,
    result_fields,
    shape_fields,
    span_fields,
)
from ...bit_products.problem import Levels, Span
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import Epilogue
from ...text import Lines, kernel_head
from .plan import DEFINES, Plan

HERE = Path(__file__).parent
HEADERS = (*BIT_MAP_HEADERS, HERE / "popcount_tile.h", HERE / "popcount.h")
NONE = "{.words = 0}"


def emit_popcount(kernel: Kernel, plan: Plan) -> KernelCode:
    """The kernel's C. Its operand must be in bits, in the problem's groups."""
    problem, form, symbol, levels = plan.problem, plan.form, kernel.symbol, plan.levels
    constants, out = Constants(), Lines()
    places = {"weights": constants.add(form.packed(plan.order))}
    if form.product == "SIGNS" and form.inputs == "PLUS":
        negative = _in_blocks(plan, form.negative.astype(np.int64)[:, None])
        places["negative"] = constants.add(Constant(-negative[..., plan.order].reshape(-1)))
    finish, clears = "NULL", []
    if levels is not None:
        places |= _add_levels(plan, levels, constants)
        results = "LEVELS" if bits_of(kernel.outputs[0]) else "UNPACKED"
        clears = clear_borders(kernel, problem.groups * problem.outputs)
    else:
        bases = np.stack([_in_blocks(plan, base[:, None]).reshape(-1) for base in form.bases()])
        places["base"] = constants.add(Constant(bases))
        epilogue = epilogue_of(kernel, plan)
        out.add(epilogue.build(offset_of(problem), constants))
        finish, clears = f"{symbol}_finish", epilogue.clears()
        results = "ROWS" if problem.rows else "CHANNELS"
    for axis, name in enumerate(("rows", "columns")):
        out.add(f"static const struct popcount_span {symbol}_{name}[] = {{{_spans(problem.spans(axis))}}};")
    out.add(f"static const struct popcount_layer {symbol}_layer = {{", *_fields(kernel, plan, places), "};", "")
    tiles = ", ".join(_tile(out, plan, symbol, pixels) for pixels in range(1, plan.pixels + 1))
    out.add(f"static popcount_tile_function *const {symbol}_tiles[] = {{{tiles}}};", "")
    with out.block(kernel_head(symbol)):
        out.add(
            *clears,
            f"popcount_product(task, &{symbol}_layer, {symbol}_tiles, {finish}, {plan.pixels}, {plan.vectors}, "
            f"{form.planes}, {int(form.product == 'SIGNS')}, POPCOUNT_{results});",
        )
    return KernelCode(out.text(), constants, HEADERS, plan.scratch.bytes, defines=DEFINES)


def epilogue_of(kernel: Kernel, plan: Plan) -> Epilogue:
    rows, columns = plan.band
    return Epilogue(kernel, plan.problem.root, plan.problem.grid, plan.lanes if plan.problem.rows else rows * columns)


def _in_blocks(plan: Plan, values: np.ndarray) -> np.ndarray:
    """Values [outputs of all groups, n] as [group and block, n, lane]."""
    problem = plan.problem
    split = values.reshape(problem.groups, problem.outputs, -1)
    padded = np.pad(split, [(0, 0), (0, plan.blocks * plan.lanes - problem.outputs), (0, 0)])
    return padded.reshape(problem.groups * plan.blocks, plan.lanes, -1).transpose(0, 2, 1)


def _add_levels(plan: Plan, levels: Levels, constants: Constants) -> dict[str, int]:
    """Limits of u (forms.py): sum + bias >= threshold where u <= (base + bias - threshold) / scale, rounded down. And
    the bits of levels, as popcount_levels reads them."""
    problem, form = plan.problem, plan.form
    bases, outputs = form.bases(), problem.groups * problem.outputs
    reach = problem.bias[:, None, None] - levels.thresholds
    limits = [reach + base[:, None, None] for base in bases]
    if form.scale:
        limits = [limit // form.scale for limit in limits]
    else:  # activations of one value: u says nothing
        limits = [np.where(limit >= 0, np.int64(2**62), np.int64(-(2**62))) for limit in limits]
    integer = np.dtype(f"int{64 // plan.fold}")
    edge = np.iinfo(integer).max  # beyond all counts
    stored = np.stack([_in_blocks(plan, limit.reshape(outputs, -1)) for limit in limits]).clip(-edge, edge)
    bits = level_bits(levels)
    codes = bits ^ np.pad(bits, [(0, 0), (0, 0), (1, 0)])[..., :-1]
    # [block, plane, n + 1, lane]
    lanes = np.stack([_in_blocks(plan, code.astype(np.uint64)) for code in codes], axis=1)
    words = (lanes << np.arange(plan.lanes, dtype=np.uint64)).sum(axis=-1, dtype=np.uint64)
    return {"limits": constants.add(Constant(stored.astype(integer))), "codes": constants.add(Constant(words))}


def _spans(spans: list[Span]) -> str:
    return ", ".join(f"{{{s.begin}, {s.end}, {s.first}, {s.count}}}" for s in spans)


def _fields(kernel: Kernel, plan: Plan, places: dict[str, int]) -> list[str]:
    problem, form, levels = plan.problem, plan.form, plan.levels
    rows, columns = plan.band
    return [
        *shape_fields(problem),
        f"    .groups = {problem.groups}, .words = {problem.words}, .planes = {problem.planes},",
        f"    .joined = {int(problem.joined)},",
        f"    .outputs = {problem.outputs}, .blocks = {plan.blocks},",
        *span_fields(kernel, problem),
        f"    .share = POPCOUNT_SHARE_{plan.share}, .band_rows = {rows}, .band_columns = {columns},",
        f"    .thresholds = {levels.thresholds.shape[2] if levels else 0}, .limit_bytes = {8 // plan.fold},",
        f"    .scale = {form.scale},",
        *result_fields(kernel, problem, levels),
        *(f"    .{name} = {place}," for name, place in places.items()),
        f"    .class_items = {problem.groups * plan.blocks * plan.lanes if form.classes else 0},",
        *plan.scratch.fields(),
    ]


def _tile(out: Lines, plan: Plan, symbol: str, pixels: int) -> str:
    """Writes the register tile of so many pixels. Returns its name."""
    form, levels, name = plan.form, plan.levels, f"{symbol}_tile{pixels}"
    with out.block(f"static TERCET_FLATTEN __attribute__((noinline)) void {name}(const struct popcount_tile *t)"):
        out.add(
            "popcount_vector u[POPCOUNT_PIXELS][POPCOUNT_VECTORS];",
            f"popcount_count(t, u, {pixels}, {plan.vectors}, {int(plan.problem.joined)}, POPCOUNT_{form.product}, "
            f"POPCOUNT_{form.inputs});",
        )
        if levels is not None:
            _, choices, thresholds = levels.thresholds.shape
            choices = choices if levels.selector is not None else 1
            out.add(
                f"popcount_levels(t, u, {pixels}, {plan.vectors}, {plan.fold}, {thresholds}, "
                f"{planes_in_bits(levels.element)}, {choices}, &{symbol}_layer.selector, {levels.first});"
            )
        else:
            out.add(f"popcount_sums(t, u, {pixels}, {plan.vectors}, {form.scale});")
    out.add("")
    return name
