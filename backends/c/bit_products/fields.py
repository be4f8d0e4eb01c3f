"""What the C of kernels over bits says of its shape and of what follows the sums."""

from __future__ import annotations

import numpy as np

from ....ir.kn.bits import BitsLayout, planes_in_bits
from ....ir.kn.layout import bits_of, planes_of
from ....ir.types import values_of
from ..bit_maps import bit_map_initialiser, bytes_initialiser
from ..engine import Kernel
from .problem import Levels, Problem


def offset_of(problem: Problem) -> np.ndarray:
    """The bias as an epilogue adds it."""
    if problem.rows:
        return problem.bias if problem.out_axis >= 0 else problem.bias.reshape(())
    return problem.bias.reshape(-1, *(1,) * (len(problem.grid.shape) - 2))


def level_bits(levels: Levels) -> np.ndarray:
    """bool [planes, outputs, n + 1]: the bits of the level after passing 0..n thresholds."""
    if planes_in_bits(levels.element) == 2:
        return np.stack([levels.values != 0, levels.values < 0])
    values = values_of(levels.element)
    return (levels.values == values[-1])[None] & (len(values) > 1)


def clear_borders(kernel: Kernel, outputs: int) -> list[str]:
    """Statements that clear the borders of levels in planes; a part clears its share of the outputs."""
    if not planes_of(kernel.outputs[0]):
        return []
    return [
        "int64_t begin, end;",
        f"tercet_share(task, {outputs}, 1, &begin, &end);",
        f"planes_clear_borders(&{kernel.symbol}_layer.bytes, task->out[0], 0, begin, end);",
    ]


def shape_fields(problem: Problem) -> list[str]:
    (height, width), (out_height, out_width) = problem.size, problem.out
    return [
        f"    .images = {problem.images}, .height = {height}, .width = {width},",
        f"    .out_height = {out_height}, .out_width = {out_width},",
        f"    .stride_y = {problem.strides[0]}, .stride_x = {problem.strides[1]},",
        f"    .dilation_y = {problem.dilations[0]}, .dilation_x = {problem.dilations[1]},",
        f"    .top = {problem.pads[0]}, .left = {problem.pads[1]},",
        f"    .kernel_height = {problem.kernel[0]}, .kernel_width = {problem.kernel[1]},",
    ]


def span_fields(kernel: Kernel, problem: Problem) -> list[str]:
    """The spans of rows and columns, which are arrays `SYMBOL_rows` and `SYMBOL_columns`."""
    rows, columns = (len(problem.spans(axis)) for axis in (0, 1))
    return [
        f"    .row_spans = {rows}, .column_spans = {columns},",
        f"    .rows = {kernel.symbol}_rows, .columns = {kernel.symbol}_columns,",
    ]


def result_fields(kernel: Kernel, problem: Problem, levels: Levels | None) -> list[str]:
    """Where results go, and what selects among rows of thresholds. levels: what the kernel itself compares."""
    if levels is None:
        return ["    .choices = 1,", "    .selector = {.planes = 0}, .out = {.planes = 0},"]
    kind, layout = kernel.outputs[0], BitsLayout.of(problem.out_axis)
    selector, choices, fields = "{.planes = 0}", 1, list[str]()
    if not bits_of(kind):
        fields.append(f"    .bytes = {bytes_initialiser(kind, problem.out_axis)},")
    if levels.selector is not None:
        choices = levels.thresholds.shape[1]
        selector = bit_map_initialiser(levels.selector.type, layout)
        operand = kernel.input_index(levels.selector)
        fields.append(f"    .first_choice = {levels.first}, .selector_operand = {operand},")
    result = bit_map_initialiser(kernel.op.yielded[0].type, bits_of(kind) or layout)
    return [f"    .choices = {choices},", *fields, f"    .selector = {selector}, .out = {result},"]
