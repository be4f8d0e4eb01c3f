"""Convolutions in float32, of floats or of integers whose sums float32 holds exactly: below 2^24.

Tiles of outputs and of vectors of pixels, in the layout of flat.py; a term is a vector times a weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ir.tn.linear import ConvOp
from ....ir.types import element_of, is_float, range_of, shape_of
from ..context import Context, dtype_of
from ..package import Expr, Scalar, relax, s_tir, te, tvm
from ..targets import Target
from .flat import Flat, cropped, flat_of, lies_flat, padded, zeros_apart
from .tiles import Registers, in_registers

NAME = "tile_f32"
EXACT = 1 << 24


def takes(op: ConvOp, weights: np.ndarray | None) -> bool:
    if weights is None or not lies_flat(op):
        return False
    if is_float(op.x):
        return True
    most = max(map(abs, range_of(element_of(op.x))))
    return most * int(np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(1).max(initial=0)) < EXACT


def registers_of(target: Target) -> Registers:
    outputs, vectors = (8, 3) if target.registers == 32 else (6, 2)
    return Registers(outputs, vectors, target.vector_bytes // 4)


def conv(context: Context, op: ConvOp, x: Expr, weights: np.ndarray) -> Expr:
    outputs, group = len(weights), op.get("group")
    registers = registers_of(context.target).for_outputs(outputs // group)
    flat = flat_of(op, registers.pixels)
    channels, dtype = shape_of(op.x)[1], dtype_of(op.y)
    maps = (channels, flat.stride**2, flat.rows, flat.pitch)
    read = context.call(_maps(flat, channels, op), [x], [maps], "float32", "maps")
    read = context.emit(relax.op.reshape(read, [*maps[:2], flat.size]))
    terms = weights.reshape(outputs, channels // group, flat.taps).transpose(0, 2, 1).reshape(outputs, -1)
    function = _sums(flat, registers, op, dtype)
    sums = context.call(function, [read, context.constant(terms, "float32")], [(outputs, flat.outputs)], dtype, "sums")
    return context.emit_te(lambda sums: cropped(sums, flat, op), sums)


def _maps(flat: Flat, channels: int, op: ConvOp) -> Any:
    x = te.placeholder(shape_of(op.x), dtype_of(op.x), name="x")
    filled = padded(x, flat, channels, lambda c: (c, c < channels), "float32")
    schedule = s_tir.Schedule(tvm.IRModule({"main": te.create_prim_func([x, filled])}))
    zeros_apart(schedule)
    return schedule.mod["main"]


def _sums(flat: Flat, tile: Registers, op: ConvOp, dtype: str) -> Any:
    """The sums of all output pixels, [outputs, pixels]."""
    outputs, own = shape_of(op.w)[:2]
    channels, group = shape_of(op.x)[1], op.get("group")
    maps = te.placeholder((channels, flat.stride**2, flat.size), "float32", name="maps")
    weights = te.placeholder((outputs, flat.taps * own), "float32", name="weights")
    k = te.reduce_axis((0, flat.taps * own), "k")

    def terms(o: Scalar, p: Scalar) -> Scalar:
        phase, behind = flat.place(k // own)
        return te.sum(maps(o // (outputs // group) * own + k % own, phase, p + behind) * weights(o, k), axis=k)

    total = te.compute((outputs, flat.outputs), terms, name="acc")
    result = te.compute((outputs, flat.outputs), lambda o, p: total(o, p).astype(dtype), name="y")
    module = tvm.IRModule({"main": te.create_prim_func([maps, weights, result])})
    return in_registers(module, tile, 1)["main"]
