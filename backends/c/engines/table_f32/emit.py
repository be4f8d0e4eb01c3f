"""The C of a float table kernel: its shape and choices as constant structs, its look-ups, its index stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...convolutions.convolution import finish_function
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS
from ...planes import layout_or_dense
from ...text import Lines, float_c, kernel_head
from .plan import DEFINES, Cluster, Plan

HEADER = Path(__file__).with_name("table_f32.h")
WORD = 8
"""Indices are read in words of so many bytes."""


def emit_table(kernel: Kernel, plan: Plan) -> KernelCode:
    """The kernel's C. Its input must be in planes that satisfy the problem's request."""
    problem, symbol, constants, out = plan.problem, kernel.symbol, Constants(), Lines()
    constants.add(index_stream(plan))
    scale = problem.digits.scale
    scales = constants.add(Constant(scale)) if (scale != 1).any() else -1
    finish, clears = finish_function(kernel, problem.root, problem.bias, plan.run, constants)
    out.add(*finish.splitlines(), "")
    _layer(out, kernel, plan, scales)
    parts = []
    for number, part in enumerate(plan.parts):
        parts.append(_part(out, symbol, plan, number, part))
    out.add(f"static const struct table_f32_part {symbol}_parts[] = {{", *parts, "};", "")
    with out.block(kernel_head(symbol)):
        out.add(*clears)
        out.add(f"table_f32_conv(&{symbol}_layer, {symbol}_parts, {len(parts)}, task, {symbol}_finish);")
    return KernelCode(out.text(), constants, (*HEADERS, HEADER), sum(plan.sizes), defines=DEFINES)


def _layer(out: Lines, kernel: Kernel, plan: Plan, scales: int) -> None:
    """The constant struct of the shape and its windows, one per cluster, part by part."""
    problem, symbol = plan.problem, kernel.symbol
    layout = layout_or_dense(kernel.inputs[0])
    taps, pitch = problem.taps(layout), problem.out[1] if problem.folded else layout.field("pitch")
    windows = []
    for cluster in plan.clusters:
        number, row, column = cluster.first
        windows.append(f"{{{taps[number] - row * pitch - column}, {plan.rows + cluster.reach[0]}}}")
    values = ", ".join(float_c(v) for v in problem.digits.values)
    tables, sums, _ = plan.sizes
    out.add(
        f"static const struct table_f32_window {symbol}_windows[] = {{{', '.join(windows)}}};",
        f"static const struct table_f32_layer {symbol}_layer = {{",
        f"    .in_pitch = {pitch}, .in_size = {layout.field('size')},",
        f"    .height = {problem.out[0]}, .width = {problem.out[1]},",
        f"    .convolutions = {problem.group}, .inputs = {problem.weights.shape[1]}, .outputs = {plan.channels},",
        f"    .radix = {problem.digits.radix}, .group = {plan.group}, .values = {{{values}}},",
        f"    .rows = {plan.rows}, .vectors = {plan.vectors}, .columns = {plan.columns},",
        f"    .window_rows = {plan.window_rows}, .pitch = {plan.pitch},",
        f"    .block = {plan.block}, .run = {plan.run},",
        f"    .windows = {symbol}_windows,",
        f"    .scales = {scales}, .sums = {tables}, .finished = {tables + sums},",
        "};",
        "",
    )


def _part(out: Lines, symbol: str, plan: Plan, number: int, part: list[Cluster]) -> str:
    """The look-ups of a part: their offsets, and one function for each length of a chunk. Returns its struct."""
    pitch, offsets = plan.pitch * plan.lanes, []
    for slot in range(plan.chunk * len(part)):
        for _, row, column in part[slot % len(part)].taps:
            offsets.append(slot * plan.table * plan.lanes + row * pitch + column)
    name, taps = f"{symbol}_offsets{number}", sum(len(cluster.taps) for cluster in part)
    out.add(f"static const int {name}[] = {{{', '.join(map(str, offsets))}}};", "")
    names = []
    for label, groups in (("add", plan.chunk), ("rest", plan.groups % plan.chunk)):
        names.append(f"{symbol}_{label}{number}" if groups else "NULL")
        if groups:
            head = f"static TERCET_FLATTEN void {names[-1]}("
            out.add(f"{head}const float *tables, const unsigned char *index, table_f32_v *sums,")
            with out.block(f"{' ' * len(head)}int channels, int fresh)"):
                shape = f"&{symbol}_layer, {name}, {groups * taps}"
                out.add(f"table_f32_look_up({shape}, tables, index, sums, channels, fresh);")
            out.add("")
    first = number if not plan.together else 0
    return f"    {{{first}, {len(part)}, {taps}, {plan.chunk}, {names[0]}, {names[1]}}},"


def index_stream(plan: Plan) -> Constant:
    """One byte per look-up: convolution group, part, chunk, output channel, channel group, cluster, tap."""
    problem, digits = plan.problem, plan.problem.digits

    def ordered(array: np.ndarray, fill: bool | int) -> np.ndarray:
        outputs, inputs = array.shape[:2]
        rest = plan.groups * plan.group - inputs
        flat = np.pad(array.reshape(outputs, inputs, -1), [(0, 0), (0, rest), (0, 0)], constant_values=fill)
        tables = flat.reshape(problem.group, plan.channels, plan.groups, plan.group, -1).swapaxes(3, 4)
        pieces = []
        for convolution in tables:
            for part in plan.parts:
                numbers = [number for cluster in part for number, _, _ in cluster.taps]
                for begin in range(0, plan.groups, plan.chunk):
                    pieces.append(convolution[:, begin : begin + plan.chunk, numbers].reshape(-1))
        slack = np.full(WORD * plan.group, fill, array.dtype)  # the last word reaches after the last index
        return np.concatenate([*pieces, slack])

    filled = ordered(np.zeros(digits.digits.shape, np.bool_), fill=True)
    return Constant(ordered(digits.digits.astype(np.uint8), fill=0), digits.radix, plan.group, filled=filled)
