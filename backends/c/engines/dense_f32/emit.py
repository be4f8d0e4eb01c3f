"""The C of a dense kernel: its epilogue, its shape as a constant struct, and one call of the algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...engine import Constant, Constants, Kernel, KernelCode
from ...epilogue import HEADERS, Epilogue
from ...text import Lines
from .plan import Cell, ConvPlan, MatMulPlan, Panels

HERE = Path(__file__).parent
CONV_HEADERS = (HERE / "dense_tile.h", HERE / "dense_conv.h")
MATMUL_HEADERS = (*CONV_HEADERS, HERE / "dense_matmul.h")

WeightCells = Callable[[np.ndarray], Constant]
"""Stored weights from an array [.., cells, rows, per] in the order the kernel reads them."""


@dataclass(frozen=True)
class Packer:
    """How an engine fills cells. declare: C of a function `SYMBOL_pack`, or empty when inputs are cells already.
    offset: added to every sum, broadcasting against the root's result."""

    store: WeightCells
    declare: str
    offset: np.ndarray | None
    headers: tuple[Path, ...] = ()


def emit_conv(kernel: Kernel, plan: ConvPlan, packer: Packer) -> KernelCode:
    problem, cell = plan.problem, plan.cell
    constants = Constants()
    start = constants.add(packer.store(conv_cells(problem.weights, cell, plan.panels)))
    epilogue = Epilogue(kernel, problem.root, problem.grid, plan.group_lanes)
    out = Lines()
    out.add(*packer.declare.splitlines(), epilogue.build(packer.offset, constants))
    (height, width), (out_height, out_width) = problem.size, problem.out
    out.add(
        *_struct(
            "dense_conv",
            f"{kernel.symbol}_shape",
            f".images = {problem.images}, .groups = {problem.groups}, .channels = {problem.channels}, "
            f".outputs = {problem.outputs},",
            f".height = {height}, .width = {width}, .out_height = {out_height}, .out_width = {out_width},",
            f".kernel_height = {problem.kernel[0]}, .kernel_width = {problem.kernel[1]}, "
            f".stride_y = {problem.strides[0]}, .stride_x = {problem.strides[1]},",
            f".dilation_y = {problem.dilations[0]}, .dilation_x = {problem.dilations[1]}, "
            f".top = {problem.pads[0]}, .left = {problem.pads[1]},",
            f".phases_y = {problem.phases[0]}, .phases_x = {problem.phases[1]}, .pitch = {plan.pitch}, "
            f".plane_rows = {plan.plane_rows}, .plane = {plan.plane},",
            f".block_rows = {plan.block_rows}, .block_columns = {plan.block_columns}, "
            f".block_depth = {plan.block_depth}, .group_lanes = {plan.group_lanes},",
            f".cells = {plan.cells}, .per_cell = {cell.per}, .border = {cell.border}, "
            f".panels = {_panels(plan.panels)},",
            f".direct = {int(plan.direct)}, .share_panels = {int(plan.share_panels)}, "
            f".prepare_all = {int(plan.prepare_all)},",
            f".offsets = {plan.offsets}, .prepared = {plan.prepared}, .planes = {plan.planes}, .sums = {plan.sums},",
        )
    )
    _main(out, kernel, epilogue, "dense_conv", start, packer, cell, plan.width)
    return KernelCode(out.text(), constants, (*CONV_HEADERS, *HEADERS, *packer.headers), plan.scratch)


def emit_matmul(kernel: Kernel, plan: MatMulPlan, packer: Packer, lanes: int) -> KernelCode:
    """lanes: cells of one vector."""
    problem, cell = plan.problem, plan.cell
    constants = Constants()
    start = constants.add(packer.store(matmul_cells(problem.weights, cell, plan.width * lanes)))
    epilogue = Epilogue(kernel, problem.root, problem.grid, plan.width * lanes)
    out = Lines()
    out.add(*packer.declare.splitlines(), epilogue.build(packer.offset, constants))
    out.add(
        *_struct(
            "dense_matmul",
            f"{kernel.symbol}_shape",
            f".rows = {problem.rows}, .columns = {problem.columns}, .inputs = {problem.inputs},",
            f".depth = {plan.depth}, .block_depth = {plan.block_depth}, .panels = {_panels(plan.panels)}, "
            f".group_panels = {plan.group_panels},",
            f".direct = {int(plan.direct)}, .share_rows = {int(plan.share_rows)},",
            f".cells = {plan.cells}, .sums = {plan.sums},",
        )
    )
    _main(out, kernel, epilogue, "dense_matmul", start, packer, cell, plan.width)
    return KernelCode(out.text(), constants, (*MATMUL_HEADERS, *HEADERS, *packer.headers), plan.scratch)


def _struct(kind: str, name: str, *fields: str) -> list[str]:
    """`static const KIND NAME = { .. };`"""
    return [f"static const struct {kind} {name} = {{", *(f"    {line}" for line in fields), "};"]


def _panels(panels: Panels) -> str:
    return f"{{{panels.count}, {panels.panels}, {panels.tall}}}"


def _main(
    out: Lines, kernel: Kernel, epilogue: Epilogue, function: str, start: int, packer: Packer, cell: Cell, width: int
) -> None:
    symbol = kernel.symbol
    pack = f"{symbol}_pack" if packer.declare else "NULL"
    out.add("")
    with out.block(f"void {symbol}(const struct tercet_task *task)"):
        out.add(*epilogue.clears())
        out.add(
            f"{function}(task, &{symbol}_shape, task->weights + {start}, {pack}, {symbol}_finish, {width}, "
            f"{cell.name},",
            f"{' ' * len(function)} {cell.form}, {int(cell.binary)});",
        )


def conv_cells(weights: np.ndarray, cell: Cell, panels: Panels) -> np.ndarray:
    """Weights [groups, outputs, channels, kh, kw] in reading order: group, panel, channel cell, tap, row, element."""
    groups, outputs, channels, *kernel = weights.shape
    cells = -(-channels // cell.per)
    padded = np.zeros((groups, outputs, cells * cell.per, *kernel), weights.dtype)
    padded[:, :, :channels] = weights
    split = padded.reshape(groups, outputs, cells, cell.per, -1).transpose(0, 2, 4, 1, 3)  # g, cell, tap, row, element
    pieces = [split[:, :, :, panels.begin(p) : panels.begin(p + 1)].reshape(groups, -1) for p in range(panels.panels)]
    return np.concatenate(pieces, axis=1).reshape(-1)


def matmul_cells(weights: np.ndarray, cell: Cell, tile: int) -> np.ndarray:
    """Weights [inputs, columns] in reading order: column panel, cell, column, element."""
    inputs, columns = weights.shape
    cells, panels = -(-inputs // cell.per), -(-columns // tile)
    padded = np.zeros((cells * cell.per, panels * tile), weights.dtype)
    padded[:inputs, :columns] = weights
    return padded.reshape(cells, cell.per, panels, tile).transpose(2, 0, 3, 1).reshape(-1)
