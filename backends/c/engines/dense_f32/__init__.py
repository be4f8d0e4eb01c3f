"""Float convolutions and matrix products with constant weights, epilogue fused, in register tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .....ir.types import is_float
from ...dense.emit import Packer
from ...dense.engine import dense_engine, pack_function
from ...dense.plan import Cell
from ...dense.problem import Conv, Problem, bias_of
from ...dense.weights import is_binary, is_ternary, store_bytes
from ...engine import Constant, Kernel
from ...refusal import Refused
from ...target import Target

HEADER = Path(__file__).with_name("dense_f32.h")


def cells(problem: Problem, target: Target) -> list[Cell]:
    if not is_float(problem.x):
        raise Refused("integer operands")
    narrow = is_ternary(problem.weights)
    return [
        Cell(
            "DENSE_F32",
            per=1,
            ops=1 if "fma_f32" in target.instructions else 2,
            multiplies=2,
            form="DENSE_I8_FLOATS" if narrow else "DENSE_CELLS",
            binary=narrow and is_binary(problem.weights),
        )
    ]


def packer(kernel: Kernel, problem: Problem, cell: Cell) -> Packer:
    def store(cells: np.ndarray) -> Constant:
        if cell.form == "DENSE_CELLS":
            return Constant(cells.astype(np.float32))
        return store_bytes(cells, binary=cell.binary)

    declare = ""
    if isinstance(problem, Conv):
        call = f"dense_pack_f32(to, (const float *)map + first, count, {problem.strides[1]});"
        declare = pack_function(kernel.symbol, call)
    return Packer(store, declare, bias_of(kernel, problem), (HEADER,))


ENGINE = dense_engine("dense_f32", cells, packer)
