"""The C of a table kernel: its shape and choices as a constant struct, its index stream and channel records."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .....ir.kn.layout import PlanesLayout
from ...convolutions.problem import results_code
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS
from ...planes import layout_or_dense, planes_initialiser
from ...text import Lines, kernel_head
from .plan import DEFINES, Plan

SOURCES = tuple(Path(__file__).with_name(name) for name in ("table_sums.h", "table.h"))


def emit_table(kernel: Kernel, plan: Plan) -> KernelCode:
    """The kernel's C. Its input must be in planes that satisfy the problem's request."""
    problem, symbol = plan.problem, kernel.symbol
    constants = Constants()
    constants.add(index_stream(plan))
    records = constants.add(Constant(channel_records(plan)))
    layout: PlanesLayout = layout_or_dense(kernel.inputs[0])
    taps = ", ".join(map(str, problem.taps(layout)))
    results, out = results_code(kernel, problem, plan.tile_lanes, constants), Lines()
    out.add(*results.text)
    out.add(f"static const int {symbol}_taps[] = {{{taps}}};", "")
    out.add(f"static const struct table_layer {symbol}_layer = {{")
    out.add(
        f"    .in = {planes_initialiser(kernel.inputs[0])},",
        f"    .taps = {symbol}_taps,",
        f"    .tap_count = {problem.weights.shape[2] * problem.weights.shape[3]},",
        f"    .inputs = {problem.weights.shape[1]},",
        f"    .outputs = {plan.channels},",
        f"    .weights = {plan.digits.kind},",
        f"    .in_unsigned = {int(problem.unsigned)},",
        f"    .lane = {plan.lane}, .wide = {plan.wide},",
        f"    .vectors = {plan.vectors}, .group = {plan.group}, .chunk = {plan.chunk},",
        f"    .steps = {plan.steps},",
        *results.fields,
        f"    .records = {records},",
        "};",
        "",
    )
    with out.block(kernel_head(symbol)):
        out.add(*results.clears, f"table_conv(&{symbol}_layer, task, {results.finish});")
    return KernelCode(out.text(), constants, (*HEADERS, *SOURCES), plan.scratch, defines=DEFINES)


def index_stream(plan: Plan) -> Constant:
    """One byte per table and channel, in the order of the look-ups: convolution group, chunk, channel, table."""
    rest = plan.groups * plan.group - plan.problem.inputs

    def ordered(array: np.ndarray, fill: bool | int) -> np.ndarray:
        flat = np.pad(array, [(0, 0), (0, rest)], constant_values=fill)
        tables = flat.reshape(plan.problem.group, plan.channels, plan.groups, plan.group)
        chunks = [tables[:, :, at : at + plan.chunk] for at in range(0, plan.groups, plan.chunk)]
        return np.concatenate([chunk[conv].reshape(-1) for conv in range(len(tables)) for chunk in chunks])

    values = plan.digits.values.astype(np.uint8)
    filled = ordered(np.zeros(values.shape, np.bool_), fill=True)
    return Constant(ordered(values, fill=0), plan.digits.radix, plan.group, filled=filled)


def channel_records(plan: Plan) -> np.ndarray:
    """What table_levels or table_values of table.h reads for each channel: [O, choices * steps + 2] of the type of the
    accumulators."""
    problem, sign, dtype = plan.problem, plan.digits.sign, np.dtype(f"int{8 * plan.wide}")
    if (levels := problem.levels) is None:
        flip = (sign < 0).astype(np.int64)
        return np.stack([problem.stored_bias + flip, -flip], axis=1).astype(dtype)
    count = levels.steps
    first = np.where(levels.sign > 0, levels.base, levels.base + levels.step * count)
    step = levels.step * levels.sign
    passed = levels.thresholds - problem.bias[:, None] - 1  # sum >= T is sum > T - 1
    # A table sum a is the negated sum where sign is -1: -a >= T is not (a > -T), so those that pass are n minus these.
    flipped = sign < 0
    passed = np.where(flipped[:, None], -(passed + 1), passed)
    first, step = np.where(flipped, first + step * count, first), np.where(flipped, -step, step)
    info = np.iinfo(dtype)  # a bound beyond the type's range is one no sum passes, or all do: sums avoid both ends
    passed = np.clip(passed, info.min, info.max)
    return np.concatenate([np.stack([first, step], axis=1), passed], axis=1).astype(dtype)
