"""The C of a bit-sliced kernel with tables: its shape as a constant struct, its index stream and channel records."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...convolutions.problem import results_code
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS
from ...planes import layout_or_dense, planes_initialiser
from ...text import Lines, kernel_head
from .table_plan import DEFINES, GROUP, TablePlan

HEADER = Path(__file__).with_name("bit_tables.h")


def emit_tables(kernel: Kernel, plan: TablePlan) -> KernelCode:
    """The kernel's C. Its input must be in planes that satisfy the problem's request."""
    problem, symbol = plan.problem, kernel.symbol
    constants = Constants()
    constants.add(index_stream(plan))
    records = constants.add(Constant(channel_records(plan)))
    taps = ", ".join(map(str, problem.taps(layout_or_dense(kernel.inputs[0]))))
    results, out = results_code(kernel, problem, 8 * plan.target.vector_bytes, constants), Lines()
    out.add(*results.text)
    out.add(
        f"static const int {symbol}_taps[] = {{{taps}}};",
        "",
        f"static const struct bits_layer {symbol}_layer = {{",
        f"    .in = {planes_initialiser(kernel.inputs[0])},",
        f"    .taps = {symbol}_taps,",
        f"    .tap_count = {problem.weights.shape[2] * problem.weights.shape[3]},",
        f"    .inputs = {problem.weights.shape[1]},",
        f"    .outputs = {plan.channels},",
        f"    .products = {plan.products},",
        f"    .radix = {plan.radix}, .chunk = {plan.chunk}, .counter = {plan.counter},",
        f"    .steps = {plan.steps}, .scale = {plan.scale},",
        *results.fields,
        f"    .records = {records},",
        "};",
        "",
    )
    with out.block(kernel_head(symbol)):
        out.add(*results.clears, f"bits_conv(&{symbol}_layer, task, {results.finish});")
    return KernelCode(out.text(), constants, (*HEADERS, HEADER), plan.scratch, defines=DEFINES)


def index_stream(plan: TablePlan) -> Constant:
    """One byte per table and channel, in the order of the counting: convolution group, chunk, channel, table."""
    flat = plan.problem.weights.reshape(plan.problem.outputs, -1)
    digits = flat > 0 if plan.radix == 2 else flat % 3
    stream = _in_order(plan, digits, 0).astype(np.uint8)
    filters = np.broadcast_to(np.arange(len(flat))[:, None], flat.shape)
    return Constant(stream, plan.radix, GROUP, filters=_in_order(plan, filters, -1))


def _in_order(plan: TablePlan, flat: np.ndarray, fill: int) -> np.ndarray:
    """An array [O, inputs] in the order of the index stream; `fill` for inputs that pad the last table."""
    filled = np.full((len(flat), GROUP * plan.groups), fill, np.int32)
    filled[:, : flat.shape[1]] = flat
    tables = filled.reshape(plan.problem.group, plan.channels, plan.groups, GROUP)
    chunks = [tables[:, :, at : at + plan.chunk] for at in range(0, plan.groups, plan.chunk)]
    return np.concatenate([chunk[group].reshape(-1) for group in range(len(tables)) for chunk in chunks])


def channel_records(plan: TablePlan) -> np.ndarray:
    """int32 [O, ..]: what bits_levels (start, step, counts to reach) or bits_values (what to add) reads."""
    problem = plan.problem
    if (levels := problem.levels) is None:
        return (problem.stored_bias - plan.offsets).astype(np.int32)[:, None]
    start = np.where(levels.sign > 0, levels.base, levels.base + levels.step * levels.steps)
    # count >= ceil((T - bias + offset) / scale)
    reach = -(((problem.bias - plan.offsets)[:, None] - levels.thresholds) // plan.scale)
    reach = np.clip(reach, 0, 2**plan.counter - 1)
    return np.concatenate([np.stack([start, levels.step * levels.sign], axis=1), reach], axis=1).astype(np.int32)
