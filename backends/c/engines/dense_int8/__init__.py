"""Integer convolutions and matrix products, exact in int32: int8 or few-bit operands, two or four products at a time.

Quads multiply 8-bit inputs by int8 weights. Where the target adds four products in one instruction (dot_u8, dot_i8)
they always fit; the inputs are shifted to start where the instruction wants them to. With madd_u8 alone they are added
in int16: for weights or inputs so small that the sums of at least QUAD_DEPTH steps fit, and in convolutions for any
weights two steps at a time, chosen so that they fit (couples.py). Pairs multiply int16 and always fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from math import prod
from pathlib import Path

import numpy as np

from .....ir.types import element_of, is_float, range_of, storage_dtype
from ...dense.emit import Packer
from ...dense.engine import dense_engine, pack_function
from ...dense.plan import Cell
from ...dense.problem import Conv, Problem, bias_of
from ...dense.weights import is_binary, store_bytes
from ...engine import Constant, Kernel
from ...limits import INT16_MAX, INT32_MAX
from ...refusal import Refused
from ...target import Target
from . import couples


@dataclass(frozen=True)
class Quad:
    """An instruction for quads. cell: its `enum dense_cell_kind`. input, weight: the lowest it takes. narrow: it adds
    two products in int16."""

    instruction: str
    cell: str
    input: int
    weight: int = -128
    narrow: bool = False


QUADS = (
    Quad("dot_u8", "DENSE_U8_DOT", 0),
    Quad("dot_i8", "DENSE_I8_DOT", -128, weight=-127),
    Quad("madd_u8", "DENSE_U8_QUAD", 0, narrow=True),
)
QUAD_DEPTH = 4
HEADERS = tuple(Path(__file__).parent / name for name in ("dense_int8.h", "dense_couples.h"))
ELEMENTS = {"int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t"}
SHORT = {"int8": "i8", "uint8": "u8", "int16": "i16"}


def cells(problem: Problem, target: Target) -> list[Cell]:
    if is_float(problem.x):
        raise Refused("float operands")
    lo, hi = _padded_range(problem)
    weights = problem.weights
    largest = max(abs(int(weights.min())), abs(int(weights.max())))
    if storage_dtype(element_of(problem.x)).name not in ELEMENTS or largest > INT16_MAX:
        raise Refused("operands beyond 16 bits")
    terms, size = weights.size // _outputs(problem), max(abs(lo), abs(hi))
    if terms * size * largest > INT32_MAX or 2 * size * largest > INT32_MAX:
        raise Refused("sums beyond 32 bits")
    binary, byte = is_binary(weights), weights.min() >= -128 and weights.max() <= 127
    found = []
    for quad in QUADS:
        instruction = target.instructions.get(quad.instruction)
        if instruction is None or not byte or hi - lo > 255 or weights.min() < quad.weight:
            continue
        shift = 0 if quad.input <= lo and hi <= quad.input + 255 else quad.input - lo
        steps = INT16_MAX // max(2 * (hi - lo) * largest, 1) if quad.narrow else 1 << 30
        if steps >= QUAD_DEPTH:
            ops = instruction.ops + quad.narrow
            found.append(
                Cell(quad.cell, 4, ops, 2 if ops == 1 else 1, depth=steps, binary=binary, border=shift)
            )  # fmt: skip
            break
        if quad.narrow and isinstance(problem, Conv):
            found.append(
                Cell(
                    "DENSE_U8_COUPLE", 4, ops=instruction.ops + 1.5, multiplies=4 / 3, depth=couples.LONGEST,
                    border=shift, couples=True, steps=cache(partial(couples.relative_steps, weights, hi - lo)),
                )
            )  # fmt: skip
    form = "DENSE_I8_PAIRS" if byte else "DENSE_CELLS"
    fused, madd = (target.instructions.get(name) for name in ("dot_i16", "madd_i16"))
    ops = fused.ops if fused else madd.ops + 1 if madd else 2
    found.append(Cell("DENSE_I16_PAIR", per=2, ops=ops, multiplies=1, form=form, binary=binary))
    return found


def packer(kernel: Kernel, problem: Problem, cell: Cell) -> Packer:
    offset = _offset(kernel, problem, cell)

    def store(cells: np.ndarray) -> Constant:
        return Constant(cells.astype(np.int16)) if _wide(cell) else store_bytes(cells, binary=cell.binary)

    kind = storage_dtype(element_of(problem.x)).name
    call = f"{SHORT[kind]}_{'quads' if cell.per == 4 else 'pairs'}"
    source = f"(const {ELEMENTS[kind]} *)map + first"
    if isinstance(problem, Conv):
        plane = prod(problem.size)
        text = f"dense_planes_{call}(to, {source}, {plane}, channels, count, {problem.strides[1]}, {cell.border});"
    else:
        text = f"dense_row_{call}(to, {source}, channels, count, {cell.border});"
    declare = pack_function(kernel.symbol, text)
    if cell.couples:
        lo, hi = _padded_range(problem)
        return Packer(store, declare, offset, HEADERS, lambda plan: couples.arrange(plan, hi - lo))
    return Packer(store, declare, offset, HEADERS[:1])


def _offset(kernel: Kernel, problem: Problem, cell: Cell) -> np.ndarray | None:
    """What every sum of an output lacks: the bias, and the shift of the inputs times the sum of the weights."""
    weights = problem.weights.astype(np.int64)
    axes = (2, 3, 4) if isinstance(problem, Conv) else (0,)
    offset = -cell.border * weights.sum(axis=axes).reshape(-1)
    if (bias := bias_of(kernel, problem)) is not None:
        offset = offset + bias.reshape(-1).astype(np.int64)
    terms = weights.size // _outputs(problem)
    largest = int(np.abs(weights).max())
    span = max(abs(v) for v in range_of(element_of(problem.x))) + abs(cell.border)
    if terms * span * largest + int(np.abs(offset).max(initial=0)) > INT32_MAX:
        raise Refused("sums beyond 32 bits")
    if isinstance(problem, Conv) or problem.root.name == "tn.conv":
        return offset.reshape(-1, *(1,) * (len(problem.grid.shape) - 2))
    return offset.reshape(1) if offset.size == 1 else offset


def _padded_range(problem: Problem) -> tuple[int, int]:
    """The inputs and the 0 of padded pixels."""
    lo, hi = range_of(element_of(problem.x))
    return min(lo, 0), max(hi, 0)


def _outputs(problem: Problem) -> int:
    return problem.groups * problem.outputs if isinstance(problem, Conv) else problem.columns


def _wide(cell: Cell) -> bool:
    return cell.name == "DENSE_I16_PAIR" and cell.form == "DENSE_CELLS"


ENGINE = dense_engine("dense_int8", cells, packer)
