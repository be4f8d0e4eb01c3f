"""Thresholds: each output level is a comparison with a constant."""

from __future__ import annotations

import numpy as np

from ....ir.tn.quant import ThresholdOp
from ..mapping.choices import levels
from ..mapping.numbers import Number, positional
from ..mapping.thresholds import at_least
from .rules import Context, Operand, constant, gates_of, on_wires


@gates_of(ThresholdOp)
def threshold(context: Context, op: ThresholdOp, x: Operand, bounds: Operand, sign: Operand | None = None) -> Number:
    maps, table = on_wires(x, "a map"), constant(bounds, "thresholds")
    form, axis, count = context.form_of(op), op.get("axis") + 1, table.shape[1]
    (numbers,) = context.on_wires([maps], positional(maps.form.digits, maps.form.low, maps.form.high))
    nets = np.moveaxis(numbers.nets, axis, 1)
    channels = nets.shape[1]
    table = np.broadcast_to(table, (channels, count))
    answers = [at_least(context.builder, Number(nets, numbers.form), table[:, i]) for i in range(count)]
    values = [op.get("base") + op.get("step") * n for n in range(count + 1)]
    falls = np.broadcast_to(np.zeros(1) if sign is None else constant(sign, "signs"), channels) < 0
    found = np.empty((form.wires, *nets.shape[1:]), np.int32)
    for falling in np.unique(falls).tolist():
        at = falls == falling
        chosen, ordered = [answer[at] for answer in answers], values[::-1] if falling else values
        found[:, at] = levels(context.builder, chosen, ordered, form, (at.sum(), *nets.shape[2:])).nets
    return Number(np.moveaxis(found, 1, axis), form)
