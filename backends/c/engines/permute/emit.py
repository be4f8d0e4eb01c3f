"""The C of a permute kernel: its shape as a constant struct, its register tile, indices and the digits of tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS, Epilogue
from ...text import Lines, kernel_head
from .plan import DEFINES, Plan
from .problem import BINARY, SIGNED, Problem

HERE = Path(__file__).parent
SOURCES = (HERE.parents[1] / "transpose.h", HERE / "permute_tile.h", HERE / "permute.h")


def emit_permute(kernel: Kernel, plan: Plan) -> KernelCode:
    """The kernel's C. Its operand must be dense."""
    problem, symbol, conv = plan.problem, kernel.symbol, plan.problem.conv
    constants, out = Constants(), Lines()
    lanes = plan.target.lanes(np.int16)
    places = {
        "indices": constants.add(indices(plan)),
        "digits": constants.add(Constant(table_digits(problem, lanes))),
        "signs": constants.add(Constant(np.where(problem.turned, -1, 1).astype(np.int32))),
    }
    epilogue = epilogue_of(kernel, plan)
    out.add(epilogue.build(offset_of(problem), constants))
    out.add(f"static const struct permute_layer {symbol}_layer = {{", *_fields(plan, places), "};", "")
    run = conv.dilations[1] // problem.column_step * plan.pixel_bytes
    with out.block(f"static TERCET_FLATTEN __attribute__((noinline)) void {symbol}_tile(const struct permute_tile *t)"):
        out.add(
            f"permute_sum(t, {plan.pixels}, {plan.vectors}, {conv.kernel[0]}, {problem.runs}, {run}, {problem.steps}, "
            f"{problem.room});"
        )
    out.add("")
    with out.block(kernel_head(symbol)):
        out.add(
            *epilogue.clears(),
            f"permute_conv(task, &{symbol}_layer, {symbol}_tile, {symbol}_finish, {plan.pixels}, {plan.lanes}, "
            f"{problem.digits.group}, {problem.digits.words});",
        )
    return KernelCode(out.text(), constants, (*HEADERS, *SOURCES), plan.scratch.bytes, defines=DEFINES)


def epilogue_of(kernel: Kernel, plan: Plan) -> Epilogue:
    rows, columns = plan.band
    return Epilogue(kernel, plan.problem.conv.root, plan.problem.conv.grid, rows * columns)


def offset_of(problem: Problem) -> np.ndarray:
    """What an epilogue adds to every sum."""
    return problem.offset.reshape(-1, *(1,) * (len(problem.conv.grid.shape) - 2))


def indices(plan: Plan) -> Constant:
    """One byte an index, in reading order: group, block of outputs, run, pair of steps, vector, lane, step of the pair.

    Lanes 0, 2, .. of a vector are its first outputs, lanes 1, 3, .. the others: permute_widen parts them.
    """
    problem, conv = plan.problem, plan.problem.conv
    digits, lanes = problem.digits, plan.target.lanes(np.int16)
    order = np.arange(lanes) % 2 * (lanes // 2) + np.arange(lanes) // 2

    def ordered(array: np.ndarray, fill: int) -> np.ndarray:
        steps = problem.groups_of(array, fill)
        split = steps.reshape(conv.groups, conv.outputs, *steps.shape[1:])
        rest = [(0, 0), (0, plan.blocks * plan.lanes - conv.outputs), (0, 0), (0, problem.steps % 2), (0, 0)]
        padded = np.pad(split, rest, constant_values=fill)
        # group, block, vector, output, run, pair, step of the pair, input
        shape = (conv.groups, plan.blocks, plan.vectors, lanes, steps.shape[1], -1, 2, digits.group)
        return padded.reshape(shape)[:, :, :, order].transpose(0, 1, 4, 5, 2, 3, 6, 7).reshape(-1)

    weights = problem.flat
    values = weights > 0 if digits is BINARY else weights != 0 if digits is SIGNED else weights % 3
    filled = ordered(np.zeros(weights.shape, np.uint8), fill=1).astype(np.bool_)
    return Constant(ordered(values.astype(np.uint8), fill=0), digits.radix, digits.group, filled=filled)


def table_digits(problem: Problem, lanes: int) -> np.ndarray:
    """int8 [pair of inputs, lane, 2]: the weights that each index means; 0 for indices and inputs beyond the last."""
    entries, words = problem.digits.entries, problem.digits.words
    rest = [(0, lanes - len(entries)), (0, 2 * words - problem.digits.group)]
    return np.ascontiguousarray(np.pad(entries, rest).reshape(lanes, words, 2).transpose(1, 0, 2))


def _fields(plan: Plan, places: dict[str, int]) -> list[str]:
    problem, conv = plan.problem, plan.problem.conv
    (height, width), (out_height, out_width), step = conv.size, conv.out, problem.column_step
    rows, columns = plan.band
    pairs = conv.kernel[0] * problem.runs * -(-problem.steps // 2)
    return [
        f"    .images = {conv.images}, .height = {height}, .width = {width},",
        f"    .out_height = {out_height}, .out_width = {out_width},",
        f"    .stride_y = {conv.strides[0]}, .dilation_y = {conv.dilations[0]},",
        f"    .top = {conv.pads[0]}, .left = {conv.pads[1]},",
        f"    .kernel_height = {conv.kernel[0]}, .kernel_width = {conv.kernel[1]},",
        f"    .stride_x = {conv.strides[1]}, .column_step = {step}, .column_stride = {conv.strides[1] // step},",
        f"    .column_dilation = {conv.dilations[1] // step},",
        f"    .groups = {conv.groups}, .channels = {conv.channels}, .tables = {problem.tables},",
        f"    .outputs = {conv.outputs}, .blocks = {plan.blocks},",
        f"    .lowest = {problem.lo}, .turned = {int(problem.turned.any())},",
        f"    .share = PERMUTE_SHARE_{plan.share}, .band_rows = {rows}, .band_columns = {columns},",
        f"    .ring_rows = {plan.ring}, .row_bytes = {plan.row_bytes(columns)},",
        f"    .block_bytes = {pairs * plan.vectors * plan.target.vector_bytes},",
        *(f"    .{name} = {place}," for name, place in places.items()),
        *plan.scratch.fields(),
    ]
