"""The C of a popcount kernel: its shape as a constant struct, its register tiles, thresholds as limits of counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .....ir.kn.bits import BitsLayout, planes_in_bits
from .....ir.kn.layout import bits_of, planes_of
from .....ir.types import values_of
from ...bit_maps import BIT_MAP_HEADERS, bit_map_initialiser, bytes_initialiser
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import Epilogue
from ...text import Lines
from .plan import Plan
from .problem import Levels, Problem, Span

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
        if planes_of(kernel.outputs[0]):
            clears = [
                "int64_t begin, end;",
                f"tercet_share(task, {problem.groups * problem.outputs}, 1, &begin, &end);",
                f"planes_clear_borders(&{symbol}_layer.bytes, task->out[0], 0, begin, end);",
            ]
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
    with out.block(f"void {symbol}(const struct tercet_task *task)"):
        out.add(
            *clears,
            f"popcount_product(task, &{symbol}_layer, {symbol}_tiles, {finish}, {plan.pixels}, {plan.vectors}, "
            f"{form.planes}, {int(form.product == 'SIGNS')}, POPCOUNT_{results});",
        )
    return KernelCode(out.text(), constants, HEADERS, plan.scratch)


def epilogue_of(kernel: Kernel, plan: Plan) -> Epilogue:
    rows, columns = plan.band
    return Epilogue(kernel, plan.problem.root, plan.problem.grid, plan.lanes if plan.problem.rows else rows * columns)


def offset_of(problem: Problem) -> np.ndarray:
    """The bias as an epilogue adds it."""
    if problem.rows:
        return problem.bias if problem.out_axis >= 0 else problem.bias.reshape(())
    return problem.bias.reshape(-1, *(1,) * (len(problem.grid.shape) - 2))


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


def level_bits(levels: Levels) -> np.ndarray:
    """bool [planes, outputs, n + 1]: the bits of the level after passing 0..n thresholds."""
    if planes_in_bits(levels.element) == 2:
        return np.stack([levels.values != 0, levels.values < 0])
    values = values_of(levels.element)
    return (levels.values == values[-1])[None] & (len(values) > 1)


def _spans(spans: list[Span]) -> str:
    return ", ".join(f"{{{s.begin}, {s.end}, {s.first}, {s.count}}}" for s in spans)


def _fields(kernel: Kernel, plan: Plan, places: dict[str, int]) -> list[str]:
    problem, form, levels = plan.problem, plan.form, plan.levels
    (height, width), (out_height, out_width) = problem.size, problem.out
    selector, result, choices = "{.planes = 0}", "{.planes = 0}", 1
    extra = []
    if levels is not None:
        layout = bits_of(kernel.outputs[0]) or BitsLayout.of(problem.out_axis)
        result = bit_map_initialiser(kernel.op.yielded[0].type, layout)
        if not bits_of(kernel.outputs[0]):
            extra.append(f"    .bytes = {bytes_initialiser(kernel.outputs[0], problem.out_axis)},")
        if levels.selector is not None:
            choices = levels.thresholds.shape[1]
            operand = kernel.input_index(levels.selector)
            selector = bit_map_initialiser(levels.selector.type, BitsLayout.of(problem.out_axis))
            extra.append(f"    .first_choice = {levels.first}, .selector_operand = {operand},")
    rows, columns = plan.band
    spans = [len(problem.spans(axis)) for axis in (0, 1)]
    return [
        f"    .images = {problem.images}, .height = {height}, .width = {width},",
        f"    .out_height = {out_height}, .out_width = {out_width},",
        f"    .stride_y = {problem.strides[0]}, .stride_x = {problem.strides[1]},",
        f"    .dilation_y = {problem.dilations[0]}, .dilation_x = {problem.dilations[1]},",
        f"    .top = {problem.pads[0]}, .left = {problem.pads[1]},",
        f"    .kernel_height = {problem.kernel[0]}, .kernel_width = {problem.kernel[1]},",
        f"    .groups = {problem.groups}, .words = {problem.words}, .planes = {problem.planes},",
        f"    .joined = {int(problem.joined)},",
        f"    .outputs = {problem.outputs}, .blocks = {plan.blocks},",
        f"    .row_spans = {spans[0]}, .column_spans = {spans[1]},",
        f"    .rows = {kernel.symbol}_rows, .columns = {kernel.symbol}_columns,",
        f"    .share = POPCOUNT_SHARE_{plan.share}, .band_rows = {rows}, .band_columns = {columns},",
        f"    .thresholds = {levels.thresholds.shape[2] if levels else 0}, .limit_bytes = {8 // plan.fold},",
        f"    .scale = {form.scale},",
        f"    .choices = {choices},",
        *extra,
        f"    .selector = {selector}, .out = {result},",
        *(f"    .{name} = {place}," for name, place in places.items()),
        f"    .class_items = {problem.groups * plan.blocks * plan.lanes if form.classes else 0},",
        *(f"    .{name} = {at}," for name, (at, size) in plan.parts.items() if size),
    ]


def _tile(out: Lines, plan: Plan, symbol: str, pixels: int) -> str:
    """Writes the register tile of so many pixels. Returns its name."""
    form, levels, name = plan.form, plan.levels, f"{symbol}_tile{pixels}"
    with out.block(f"static __attribute__((noinline)) void {name}(const struct popcount_tile *t)"):
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
