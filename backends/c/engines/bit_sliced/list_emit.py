"""The C of a bit-sliced kernel with lists: its shape as a constant struct, its lists and channel records."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .....ir.kn.bit_rows import row_bits
from .....ir.kn.layout import PlanesLayout, bit_rows_of, tensor_in
from .....ir.types import element_of, values_of
from ...bit_rows import BIT_ROWS_HEADERS, bit_rows_initialiser
from ...convolutions.problem import Levels, results_code
from ...engine import Constant, Constants, Kernel, KernelCode
from ...planes import layout_or_dense, planes_initialiser
from ...text import Lines, kernel_head
from .forms import Source
from .list_plan import DEFINES, ListPlan

HERE = Path(__file__).parent
NEVER = 2**40
"""Beyond all sums."""
TILE = HERE / "bit_sliced_tile.h"


def emit_lists(kernel: Kernel, plan: ListPlan) -> KernelCode:
    """The kernel's C. Its input must be in rows of bits, or in planes that satisfy the problem's request."""
    problem, form, symbol = plan.problem, plan.form, kernel.symbol
    constants, out = Constants(), Lines()
    records = constants.add(Constant(channel_records(kernel, plan)))
    start = constants.add(Constant(np.array([form.zero], np.int32)))
    results = results_code(kernel, problem, 8 * plan.target.vector_bytes, constants)
    lists = constants.add(form.lists(plan.number_window, plan.number_step))  # last: their size varies
    out.add(*results.text)
    layout = layout_or_dense(kernel.inputs[0])
    shifts = [", ".join(map(str, source.shifts)) for source in form.sources]
    for i, text in enumerate(shifts):
        out.add(f"static const int {symbol}_shifts{i}[] = {{{text}}};")
    sources = [
        f"{{{_offset(source, layout)}, {source.row}, {source.column}, {len(source.taps)}, {len(source.shifts)}, "
        f"{symbol}_shifts{i}}}"
        for i, source in enumerate(form.sources)
    ]
    out.add(f"static const struct bits_source {symbol}_sources[] = {{{', '.join(sources)}}};")
    spans = _spans(out, plan, symbol)
    out.add(
        "",
        f"static const struct bits_layer {symbol}_layer = {{",
        f"    .in = {planes_initialiser(kernel.inputs[0])},",
        f"    .inputs = {problem.weights.shape[1]}, .outputs = {plan.channels},",
        f"    .source_count = {len(sources)}, .sources = {symbol}_sources,",
        f"    .slots = {form.slots}, .step = {form.step},",
        f"    .planes = {form.planes}, .marks = {{{', '.join(form.marks)}}},",
        f"    .tile = {plan.tile}, .pitch = {plan.pitch}, .chunk = {plan.chunk}, .rows = {plan.rows},",
        f"    .unit = {plan.unit}, .window = {plan.window},",
        f"    .number_window = {plan.number_window}, .number_step = {plan.number_step},",
        f"    .counters = {form.counters}, .doubled = {int(form.doubled)}, .whole = {form.whole},",
        f"    .signs = {form.signs},",
        f"    .steps = {_steps(kernel, plan)}, .scale = {form.scale},",
        *results.fields,
        *_rows(kernel, plan),
        *spans,
        f"    .records = {records}, .start = {start}, .lists = {lists},",
        "};",
        "",
    )
    sizes = dict.fromkeys((plan.target.vector_bytes, plan.last))
    begin = "bits_start_doubled" if form.doubled else "bits_start"
    widths = [_width(out, symbol, size, begin, results.finish) for size in sizes]
    with out.block(kernel_head(symbol)):
        out.add(
            *results.clears,
            f"bits_conv(&{symbol}_layer, task, {widths[0]}, {widths[-1]}, {int(results.finish != 'NULL')});",
        )
    return KernelCode(
        out.text(), constants, (*BIT_ROWS_HEADERS, HERE / "bit_sliced.h", TILE), plan.scratch, defines=DEFINES
    )


def _width(out: Lines, symbol: str, size: int, begin: str, finish: str) -> str:
    """Writes what computes tiles of so many bytes; `begin` is what begins them. Returns the variable that names it."""
    out.add("#undef BITS_BYTES", f"#define BITS_BYTES {size}", f'#include "{TILE.name}"', "")
    with out.block(f"static TERCET_FLATTEN void {symbol}_start{size}(const struct bits_tile *t)"):
        out.add(f"{begin}(&{symbol}_layer, t);")
    parameters = "const struct bits_tile *t, int channel"
    with out.block(f"static TERCET_FLATTEN __attribute__((noinline)) void {symbol}_output{size}({parameters})"):
        out.add(f"bits_output(&{symbol}_layer, t, channel, {finish});")
    name = f"{symbol}_width{size}"
    out.add(f"static const struct bits_width {name} = {{{size}, {symbol}_start{size}, {symbol}_output{size}}};", "")
    return name


def _offset(source: Source, layout: PlanesLayout) -> int:
    """The element of a plane that output pixel 0 sees first, in the source's phase."""
    stride = layout.field("stride")
    return layout.place(source.row * stride + source.phase[0], source.column * stride + source.phase[1])


def _steps(kernel: Kernel, plan: ListPlan) -> int:
    """Limits of a count: one for each threshold, or for each bit of a level."""
    return row_bits(element_of(tensor_in(kernel.outputs[0]))) if bit_rows_of(kernel.outputs[0]) else plan.steps


def _rows(kernel: Kernel, plan: ListPlan) -> list[str]:
    """The fields of maps in rows of bits."""
    levels, kinds = plan.problem.levels, {"rows_in": kernel.inputs[0], "rows_out": kernel.outputs[0]}
    if levels is not None and levels.selector is not None:
        operand = kernel.input_index(levels.selector)
        assert operand is not None
        kinds["rows_selector"] = kernel.inputs[operand]
    return [
        f"    .{name} = {bit_rows_initialiser(tensor_in(kind), layout)},"
        for name, kind in kinds.items()
        if (layout := bit_rows_of(kind))
    ]


def _spans(out: Lines, plan: ListPlan, symbol: str) -> list[str]:
    """Writes the spans of rows and columns. Returns the fields that name them."""
    rows, columns = (plan.form.spans(axis) for axis in (0, 1))
    fields = [f"    .row_spans = {len(rows)}, .column_spans = {len(columns)},"]
    if plan.classes == 1:
        return fields
    ends = []
    for i, span in enumerate(columns):
        pixels = np.zeros(8 * plan.pitch, np.bool_)
        pixels[span.begin : span.end] = True
        text = ", ".join(map(str, np.packbits(pixels, bitorder="little")))
        out.add(f"static const unsigned char {symbol}_columns{i}[] = {{{text}}};")
        ends.append(f"{{{span.end}, {symbol}_columns{i}}}")
    out.add(
        f"static const struct bits_span {symbol}_row_ends[] = {{{', '.join(f'{{{s.end}, NULL}}' for s in rows)}}};",
        f"static const struct bits_span {symbol}_column_ends[] = {{{', '.join(ends)}}};",
    )
    return [*fields, f"    .row_ends = {symbol}_row_ends, .column_ends = {symbol}_column_ends,"]


def channel_records(kernel: Kernel, plan: ListPlan) -> np.ndarray:
    """int32 [O, ..]: what bits_levels (start, step, limits of every class) or bits_values (what to add) reads."""
    problem, form = plan.problem, plan.form
    if (levels := problem.levels) is None:
        return (problem.stored_bias[:, None] + form.bases()).astype(np.int32)
    if bit_rows_of(kernel.outputs[0]):
        start, thresholds = _bit_limits(levels, values_of(element_of(tensor_in(kernel.outputs[0]))))
        step = np.zeros_like(start)
    else:
        start = np.where(levels.sign > 0, levels.base, levels.base + levels.step * levels.steps)
        step, thresholds = levels.step * levels.sign, levels.thresholds
    # count >= ceil((threshold - bias - base) / scale)
    reach = (problem.bias[:, None] + form.bases())[:, :, None] - thresholds[:, None, :]
    limits = np.clip(-(reach // form.scale), 0, 2**form.counters - 1).reshape(len(start), -1)
    return np.concatenate([np.stack([start, step], axis=1), limits], axis=1).astype(np.int32)


def _bit_limits(levels: Levels, values: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """For every output whether its levels' bits are turned around, and the threshold of each bit: int64 [O], and
    [O, choices * bits].

    Levels rise or fall with the number of thresholds that are passed, so a bit is whether the t-th smallest is, or not.
    """
    count = levels.steps
    passed = np.arange(count + 1)
    reached = levels.base + levels.step * np.where(levels.sign[:, None] > 0, passed, count - passed)
    turned = (levels.step * levels.sign < 0).astype(np.int64)
    ordered = np.sort(levels.thresholds.reshape(len(turned), levels.choices, count), axis=2)
    ends = np.broadcast_to(np.array([-NEVER, NEVER]), (*ordered.shape[:2], 2))
    padded = np.concatenate([ends[..., :1], ordered, ends[..., 1:]], axis=2)
    found = []
    for bit in range(len(values) - 1):
        ones = (reached >= values[-1 - bit]) ^ (turned[:, None] == 1)
        needed = np.where(ones.any(axis=1), ones.argmax(axis=1), count + 1)
        found.append(np.take_along_axis(padded, needed[:, None, None], axis=2)[:, :, 0])
    return turned, np.stack(found, axis=2).reshape(len(turned), -1)
