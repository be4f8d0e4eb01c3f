"""What moves elements costs no gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....ir.tn.movement import ConcatOp, PadOp, ReshapeOp, SliceOp, TransposeOp
from ....ir.types import shape_of
from ..mapping.numbers import Number
from .rules import Context, Operand, gates_of, on_wires


@gates_of(ReshapeOp)
def reshape(context: Context, op: ReshapeOp, x: Operand) -> Number:
    maps = on_wires(x, "a map")
    return replace(maps, nets=maps.nets.reshape(maps.form.wires, *shape_of(op.results[0])))


@gates_of(TransposeOp)
def transpose(context: Context, op: TransposeOp, x: Operand) -> Number:
    maps = on_wires(x, "a map")
    return replace(maps, nets=maps.nets.transpose(0, *(axis + 1 for axis in op.get("perm"))))


@gates_of(SliceOp)
def slice_(context: Context, op: SliceOp, x: Operand) -> Number:
    maps = on_wires(x, "a map")
    nets: Any = maps.nets
    for axis, (start, size, step) in enumerate(zip(op.get("starts"), op.get("sizes"), op.get("steps"), strict=True)):
        nets = nets.take(start + np.arange(size) * step, axis + 1)
    return replace(maps, nets=nets)


@gates_of(ConcatOp)
def concat(context: Context, op: ConcatOp, *parts: Operand) -> Number:
    form = context.form_of(op)
    nets = [part.nets for part in context.on_wires(parts, form)]
    return Number(np.concatenate(nets, axis=op.get("axis") + 1), form)


@gates_of(PadOp)
def pad(context: Context, op: PadOp, x: Operand) -> Number:
    maps, form, pads = on_wires(x, "a map"), context.form_of(op), op.get("pads")
    rank = len(pads) // 2
    margin = list(zip(pads[:rank], pads[rank:], strict=True))
    wires, (number,) = context.border(form, int(op.get("value"))), context.on_wires([maps], form)
    padded = [np.pad(nets, margin, constant_values=w) for nets, w in zip(number.nets, wires, strict=True)]
    return Number(np.stack(padded), form)
