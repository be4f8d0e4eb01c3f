"""The C of a depthwise kernel: its shape as a constant struct, its epilogue, one call of the algorithm."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from .....ir.types import element_of, is_float, storage_dtype
from ...dense.emit import shape_fields
from ...dense.problem import bias_of
from ...dense.weights import SLACK, is_binary, is_ternary, output_numbers, store_bytes
from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS, Epilogue
from ...text import Lines, kernel_head
from .plan import DEFINES, Depthwise
from .problem import ELEMENTS

HERE = Path(__file__).parent
OWN_HEADERS = (HERE.parents[1] / "transpose.h", HERE / "depthwise.h")


def emit(kernel: Kernel, plan: Depthwise) -> KernelCode:
    conv, symbol, constants, out = plan.conv, kernel.symbol, Constants(), Lines()
    cells, form = lanes_of(conv.weights, plan.lanes), "DEPTHWISE_BYTES"
    if is_float(conv.x) and not is_ternary(cells):
        constants.add(Constant(cells.astype(np.float32)))
        form = "DEPTHWISE_FLOATS"
    else:
        binary = is_binary(conv.weights)
        filters = lanes_of(output_numbers(conv.weights, (0, 1)), plan.lanes) - 1
        constants.add(replace(store_bytes(cells, binary=binary), filters=np.append(filters, [-1] * SLACK)))
        form = "DEPTHWISE_BITS" if binary else form
    epilogue = Epilogue(kernel, conv.root, conv.grid, plan.run)
    out.add(epilogue.build(bias_of(kernel, conv), constants))
    out.add(
        f"static const struct depthwise_layer {symbol}_layer = {{",
        f"    .images = {conv.images}, .groups = {conv.groups}, .outputs = {conv.outputs},",
        *(f"    {line}" for line in shape_fields(conv)),
        f"    .rows = {plan.rows}, .pitch = {plan.pitch}, .plane_rows = {plan.plane_rows}, .run = {plan.run},",
        *plan.scratch.fields(),
        "};",
        "",
    )
    element = ELEMENTS[storage_dtype(element_of(conv.x)).name]
    with out.block(kernel_head(symbol)):
        out.add(*epilogue.clears())
        out.add(f"depthwise_conv(&{symbol}_layer, task, {symbol}_finish, {plan.columns}, {element}, {form});")
    return KernelCode(out.text(), constants, (*HEADERS, *OWN_HEADERS), plan.scratch.bytes, defines=DEFINES)


def lanes_of(weights: np.ndarray, lanes: int) -> np.ndarray:
    """Weights [groups, outputs, 1, kh, kw] in the order the kernel reads them: block, output, tap, lane. Lanes after
    the last group are 0."""
    groups, outputs, _, *kernel = weights.shape
    blocks = -(-groups // lanes)
    padded = np.zeros((blocks * lanes, outputs, prod(kernel)), weights.dtype)
    padded[:groups] = weights.reshape(groups, outputs, -1)
    return padded.reshape(blocks, lanes, outputs, -1).transpose(0, 2, 3, 1).reshape(-1)
