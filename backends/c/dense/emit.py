"""The C of a dense kernel: its epilogue, its shape as a constant struct, and one call of the algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..engine import Constant, Constants, Kernel, KernelCode
from ..epilogue import HEADERS, Epilogue, narrowest_result
from ..text import Lines, kernel_head
from .outputs_plan import OutputsPlan
from .plan import DEFINES, Cell, ConvPlan, MatMulPlan, Panels
from .problem import Conv
from .weights import output_numbers

HERE = Path(__file__).parent
TILE_HEADER = HERE / "dense_tile.h"
CONV_HEADERS = (TILE_HEADER, HERE / "dense_conv.h")
OUTPUTS_HEADERS = (*CONV_HEADERS, HERE.parent / "transpose.h", HERE / "dense_outputs.h")
MATMUL_HEADERS = (*CONV_HEADERS, HERE / "dense_matmul.h")

WeightCells = Callable[[np.ndarray], Constant]
"""Stored weights from an array [.., cells, rows, per] in the order the kernel reads them."""


@dataclass(frozen=True)
class Packer:
    """How an engine fills cells. declare: C of a function `SYMBOL_pack`, or empty when inputs are cells already.
    offset: added to every sum, broadcasting against the root's result. arrange: for couples, the int32 cells of the
    weights of a plan and where each run of them begins."""

    store: WeightCells
    declare: str
    offset: np.ndarray | None
    headers: tuple[Path, ...] = ()
    arrange: Callable[[ConvPlan], tuple[np.ndarray, np.ndarray]] | None = None


def emit_conv(kernel: Kernel, plan: ConvPlan, packer: Packer) -> KernelCode:
    problem, cell = plan.problem, plan.cell
    constants, runs = Constants(), 0
    if packer.arrange:
        cells, begins = packer.arrange(plan)
        start, runs = constants.add(Constant(cells.view(np.int8))), constants.add(Constant(begins))
    else:
        start = constants.add(
            replace(
                packer.store(conv_cells(problem.weights, cell, plan.panels)),
                filters=conv_cells(output_numbers(problem.weights, (0, 1)), cell, plan.panels) - 1,
            )
        )
    epilogue = Epilogue(kernel, problem.root, problem.grid, plan.group_lanes)
    out = Lines()
    out.add(*packer.declare.splitlines(), epilogue.build(packer.offset, constants))
    out.add(
        *_struct(
            "dense_conv",
            f"{kernel.symbol}_shape",
            *_conv_fields(plan),
            f".shared = {plan.shared}, .group_lanes = {plan.group_lanes},",
            f".join_rows = {int(_join_rows(kernel, plan))}, .prepare_all = {int(plan.prepare_all)}, .runs = {runs},",
            f".offsets = {plan.offsets}, .prepared = {plan.prepared}, .planes = {plan.planes}, .sums = {plan.sums},",
        )
    )
    tiles = Tiles("DENSE_INPUT_LANES", cell, plan.panels, plan.width, plan.group_lanes, None)
    _main(out, kernel, epilogue, "dense_conv", start, packer, tiles)
    return KernelCode(out.text(), constants, (*CONV_HEADERS, *HEADERS, *packer.headers), plan.scratch, defines=DEFINES)


def emit_outputs(kernel: Kernel, plan: OutputsPlan, packer: Packer) -> KernelCode:
    problem, cell, constants, out = plan.problem, plan.cell, Constants(), Lines()
    start = constants.add(
        replace(
            packer.store(output_cells(problem.weights, cell, plan.tile)),
            filters=output_cells(output_numbers(problem.weights, (0, 1)), cell, plan.tile) - 1,
        )
    )
    epilogue, at = Epilogue(kernel, problem.root, problem.grid, plan.run), plan.scratch.offsets
    out.add(*packer.declare.splitlines(), epilogue.build(packer.offset, constants))
    out.add(
        *_struct(
            "dense_outputs",
            f"{kernel.symbol}_shape",
            ".conv = {",
            *(f"    {line}" for line in _conv_fields(plan)),
            f"    .offsets = {at['offsets']}, .prepared = {at['prepared']}, .planes = {at['planes']}, "
            f".sums = {at['sums']},",
            "},",
            f".panels = {plan.output_panels}, .strip_rows = {plan.strip_rows}, .run = {plan.run}, "
            f".turned = {at['turned']},",
        )
    )
    tiles = Tiles("DENSE_OUTPUT_LANES", cell, plan.panels, plan.width, plan.tile, None)
    _main(out, kernel, epilogue, "dense_outputs", start, packer, tiles)
    return KernelCode(
        out.text(), constants, (*OUTPUTS_HEADERS, *HEADERS, *packer.headers), plan.scratch.bytes, defines=DEFINES
    )


def emit_matmul(kernel: Kernel, plan: MatMulPlan, packer: Packer, lanes: int) -> KernelCode:
    """lanes: cells of one vector."""
    problem, cell = plan.problem, plan.cell
    constants = Constants()
    start = constants.add(
        replace(
            packer.store(matmul_cells(problem.weights, cell, plan.width * lanes)),
            filters=matmul_cells(output_numbers(problem.weights, (1,)), cell, plan.width * lanes) - 1,
        )
    )
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
    tiles = Tiles("DENSE_WEIGHT_LANES", cell, plan.panels, plan.width, plan.width * lanes, plan.depth)
    _main(out, kernel, epilogue, "dense_matmul", start, packer, tiles)
    return KernelCode(
        out.text(), constants, (*MATMUL_HEADERS, *HEADERS, *packer.headers), plan.scratch, defines=DEFINES
    )


def shape_fields(conv: Conv) -> list[str]:
    """The fields of a convolution's struct that say what is computed, but for channels and groups."""
    (height, width), (out_height, out_width) = conv.size, conv.out
    return [
        f".height = {height}, .width = {width}, .out_height = {out_height}, .out_width = {out_width},",
        f".kernel_height = {conv.kernel[0]}, .kernel_width = {conv.kernel[1]}, "
        f".stride_y = {conv.strides[0]}, .stride_x = {conv.strides[1]},",
        f".dilation_y = {conv.dilations[0]}, .dilation_x = {conv.dilations[1]}, "
        f".top = {conv.pads[0]}, .left = {conv.pads[1]},",
    ]


def _conv_fields(plan: ConvPlan | OutputsPlan) -> list[str]:
    """The fields of `struct dense_conv` that say what is computed, and those of its blocks and planes."""
    problem = plan.problem
    return [
        f".images = {problem.images}, .groups = {problem.groups}, .channels = {problem.channels}, "
        f".outputs = {problem.outputs},",
        *shape_fields(problem),
        f".phases_y = {problem.phases[0]}, .phases_x = {problem.phases[1]}, .pitch = {plan.pitch}, "
        f".plane_rows = {plan.plane_rows}, .plane = {plan.plane},",
        f".block_rows = {plan.block_rows}, .block_columns = {plan.block_columns}, .block_depth = {plan.block_depth},",
        f".cells = {plan.cells}, .per_cell = {plan.cell.per}, .border = {plan.cell.border & 255}, "
        f".panels = {_panels(plan.panels)},",
        f".direct = {int(plan.direct)}, .share_panels = {int(plan.share_panels)},",
    ]


def _join_rows(kernel: Kernel, plan: ConvPlan) -> bool:
    """Epilogues take whole blocks of pixels, so that short rows would be mostly garbage."""
    return plan.block_columns < 64 // narrowest_result(kernel)


def _struct(kind: str, name: str, *fields: str) -> list[str]:
    """`static const KIND NAME = { .. };`"""
    return [f"static const struct {kind} {name} = {{", *(f"    {line}" for line in fields), "};"]


def _panels(panels: Panels) -> str:
    return f"{{{panels.count}, {panels.panels}, {panels.tall}}}"


@dataclass(frozen=True)
class Tiles:
    """The two register tiles of a kernel: panels of `tall` rows and of one row less.

    side: what fills the vectors. pitch: cells from one row of sums to the next. row_step: cells from one row's single
    cells to the next row's; None where all rows of a step lie side by side.
    """

    side: str
    cell: Cell
    panels: Panels
    width: int
    pitch: int
    row_step: int | None

    def declare(self, symbol: str) -> tuple[list[str], str, str]:
        """C of the tiles, and the names of the tall and the short one (NULL where there is none)."""
        lines, names = [], []
        for name, rows in (("tall", self.panels.tall), ("short", self.panels.tall - 1)):
            names.append(f"{symbol}_{name}" if rows in self.panels.sizes() else "NULL")
            if names[-1] == "NULL":
                continue
            steps = f"1, {rows}" if self.row_step is None else f"{self.row_step}, 1"
            form = self.cell.form if self.side == "DENSE_WEIGHT_LANES" else "DENSE_CELLS"
            binary = int(self.cell.binary and self.side == "DENSE_WEIGHT_LANES")
            head = f"DENSE_TILE {names[-1]}("
            lines += [
                f"{head}const unsigned char *vectors, const int32_t *offsets, const dense_cell *cells, int depth,",
                f"{' ' * len(head)}dense_cell *sums, int first) {{",
                *self._body(f"{self.pitch}, first, {rows}, {self.width}", f"{steps}, {form}, {binary}"),
                "}",
                "",
            ]
        return lines, names[0], names[1]

    def _body(self, size: str, operands: str) -> list[str]:
        """C inside a tile. size: its last four arguments; operands: how single cells and weights lie."""
        if self.cell.couples:
            return [f"    dense_couple_tile(vectors, cells, depth, sums, {size});"]
        return [
            f"    const struct dense_operands from = {{vectors, offsets, cells, {operands}}};",
            f"    dense_tile(&from, depth, sums, {size}, {self.side}, {self.cell.name});",
        ]


def _main(
    out: Lines, kernel: Kernel, epilogue: Epilogue, function: str, start: int, packer: Packer, tiles: Tiles
) -> None:
    symbol = kernel.symbol
    pack = f"{symbol}_pack" if packer.declare else "NULL"
    lines, tall, short = tiles.declare(symbol)
    form = tiles.cell.form + ("" if function == "dense_matmul" else f", {int(tiles.cell.binary)}")
    out.add("", *lines)
    with out.block(kernel_head(symbol)):
        out.add(*epilogue.clears())
        out.add(
            f"{function}(task, &{symbol}_shape, task->weights + {start}, {pack}, {symbol}_finish,",
            f"{' ' * len(function)} {tall}, {short}, {tiles.width} * DENSE_LANES, {form});",
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


def output_cells(weights: np.ndarray, cell: Cell, tile: int) -> np.ndarray:
    """Weights [groups, outputs, channels, kh, kw] in reading order: group, panel of outputs, channel cell, tap, output,
    element."""
    groups, outputs, channels, *kernel = weights.shape
    cells, panels = -(-channels // cell.per), -(-outputs // tile)
    padded = np.zeros((groups, panels * tile, cells * cell.per, *kernel), weights.dtype)
    padded[:, :outputs, :channels] = weights
    return padded.reshape(groups, panels, tile, cells, cell.per, -1).transpose(0, 1, 3, 5, 2, 4).reshape(-1)


def matmul_cells(weights: np.ndarray, cell: Cell, tile: int) -> np.ndarray:
    """Weights [inputs, columns] in reading order: column panel, cell, column, element."""
    inputs, columns = weights.shape
    cells, panels = -(-inputs // cell.per), -(-columns // tile)
    padded = np.zeros((cells * cell.per, panels * tile), weights.dtype)
    padded[:inputs, :columns] = weights
    return padded.reshape(cells, cell.per, panels, tile).transpose(2, 0, 3, 1).reshape(-1)
