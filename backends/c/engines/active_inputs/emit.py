"""The C of a kernel for active inputs: its shape as a constant struct, thresholds as limits of counts, bit by bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .....ir.kn.bits import planes_in_bits
from .....ir.kn.layout import bits_of
from ...bit_maps import BIT_MAP_HEADERS
from ...bit_products.fields import clear_borders, offset_of, result_fields, shape_fields, span_fields
from ...bit_products.problem import Levels
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import Epilogue
from ...text import Lines, kernel_head
from .forms import STARTS
from .plan import DEFINES, RUN, Plan

HERE = Path(__file__).parent
HEADERS = (*BIT_MAP_HEADERS, *(HERE / f"active_{name}.h" for name in ("lists", "adders", "inputs")))


def emit_active_inputs(kernel: Kernel, plan: Plan) -> KernelCode:
    """The kernel's C. Its operand must be in bits."""
    problem, form, symbol, levels = plan.problem, plan.form, kernel.symbol, plan.problem.levels
    constants, out = Constants(), Lines()
    places = {"weights": constants.add(form.packed(plan.lanes, plan.words))}
    finish, clears, thresholds, planes = "NULL", [], 0, 0
    if levels is not None:
        places |= _add_levels(plan, levels, constants)
        thresholds, planes = levels.thresholds.shape[2], planes_in_bits(levels.element)
        results = "LEVELS" if bits_of(kernel.outputs[0]) else "UNPACKED"
        clears = clear_borders(kernel, problem.outputs)
    else:
        places["base"] = constants.add(Constant(_lanes(plan, form.bases()).astype(np.int32)))
        places["factor"] = constants.add(Constant(_lanes(plan, form.factors()).astype(np.int32)))
        epilogue = epilogue_of(kernel, plan)
        out.add(epilogue.build(offset_of(problem), constants))
        finish, clears = f"{symbol}_finish", epilogue.clears()
        results = "ROWS" if problem.rows else "CHANNELS"
    for axis, name in enumerate(("rows", "columns")):
        spans = ", ".join(f"{{{s.begin}, {s.end}}}" for s in problem.spans(axis))
        out.add(f"static const struct active_span {symbol}_{name}[] = {{{spans}}};")
    out.add(f"static const struct active_layer {symbol}_layer = {{", *_fields(kernel, plan, places), "};", "")
    two = int(form.planes == 2)
    parameters = "uint64_t *counter, const uint64_t *weights, const uint16_t *list"
    with out.block(f"static TERCET_FLATTEN __attribute__((noinline)) void {symbol}_add({parameters})"):
        out.add(f"active_add(counter, weights, list, {form.counters}, {two}, {problem.planes});")
    out.add("")
    with out.block(kernel_head(symbol)):
        out.add(
            *clears,
            f"active_product(task, &{symbol}_layer, {symbol}_add, {finish}, {form.counters}, {problem.planes}, {two}, "
            f"{thresholds}, {planes}, ACTIVE_{results});",
        )
    return KernelCode(
        out.text(), constants, HEADERS, plan.scratch.bytes, defines={**DEFINES, "ACTIVE_BYTES": plan.bytes}
    )


def epilogue_of(kernel: Kernel, plan: Plan) -> Epilogue:
    problem = plan.problem
    return Epilogue(kernel, problem.root, problem.grid, RUN if problem.rows else plan.most)


def _lanes(plan: Plan, values: np.ndarray) -> np.ndarray:
    """Values [.., outputs] with outputs padded to whole blocks, by zeros."""
    rest = plan.blocks * plan.lanes - plan.problem.outputs
    return np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, rest)])


def _bits(plan: Plan, bits: np.ndarray) -> np.ndarray:
    """Bits [.., outputs] as words [.., block, word of it]."""
    packed = np.packbits(np.ascontiguousarray(_lanes(plan, bits)), axis=-1, bitorder="little")
    return packed.view("<u8").astype(np.uint64).reshape(*bits.shape[:-1], plan.blocks, plan.bytes // 8)


def _add_levels(plan: Plan, levels: Levels, constants: Constants) -> dict[str, int]:
    """Limits [class, even or odd, block, choice, threshold, counter], codes [block, plane, threshold + 1], in words."""
    form = plan.form
    limits = np.moveaxis(form.limits(levels), 2, -1) + (1 << (form.counters - 1))
    bits = np.stack([~limits >> i & 1 for i in range(form.counters)], axis=4).astype(np.bool_)
    words = np.moveaxis(_bits(plan, bits), -2, 2)
    codes = np.moveaxis(_bits(plan, np.moveaxis(form.codes(levels), 1, -1)), -2, 0)
    return {
        "limits": constants.add(Constant(np.ascontiguousarray(words))),
        "codes": constants.add(Constant(np.ascontiguousarray(codes))),
    }


def _fields(kernel: Kernel, plan: Plan, places: dict[str, int]) -> list[str]:
    problem, form = plan.problem, plan.form
    return [
        *shape_fields(problem),
        f"    .channels = {problem.channels}, .words = {problem.words},",
        f"    .chunk = {plan.words}, .chunks = {plan.chunks},",
        f"    .outputs = {problem.outputs}, .blocks = {plan.blocks}, .step = {plan.step},",
        f"    .starts = ACTIVE_{STARTS[form.weights]}, .odd = {form.odd},",
        *span_fields(kernel, problem),
        f"    .classes = {int(form.classes)},",
        f"    .most = {plan.most}, .items = {plan.items},",
        *result_fields(kernel, problem, problem.levels),
        *(f"    .{name} = {place}," for name, place in places.items()),
        *plan.scratch.fields(),
    ]
