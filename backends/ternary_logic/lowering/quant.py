"""Thresholds, and quotients that are rounded: each output level is a comparison with a constant."""

from __future__ import annotations

import numpy as np

from ....ir.tn.quant import RequantizeOp, ThresholdOp
from ....ir.types import shape_of
from ...reference.quant import requantize as quotients
from ..mapping.choices import levels
from ..mapping.numbers import Form, Number
from ..mapping.thresholds import at_least
from .rules import Context, NotMappedError, Operand, constant, gates_of, on_wires

MOST_LEVELS = 256
"""Of a quotient's results: each needs a comparator."""
MOST_NUMBERS = 1 << 20
"""All numbers of a smaller range are tried, to find where results change."""


@gates_of(ThresholdOp)
def threshold(context: Context, op: ThresholdOp, x: Operand, bounds: Operand, sign: Operand | None = None) -> Number:
    maps, table = on_wires(x, "a map"), constant(bounds, "thresholds")
    form, axis, count = context.form_of(op), op.get("axis") + 1, table.shape[1]
    numbers = context.in_places(maps)
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


@gates_of(RequantizeOp)
def requantize(context: Context, op: RequantizeOp, x: Operand, multiplier: Operand, divisor: Operand) -> Number:
    maps, shape = on_wires(x, "a map"), shape_of(op.y)
    factors = np.stack([np.broadcast_to(constant(each, "a factor"), shape) for each in (multiplier, divisor)])
    pairs, which = np.unique(factors.reshape(2, -1), axis=1, return_inverse=True)
    found = [_results(op, maps.form, *pair) for pair in pairs.T.tolist()]
    numbers, form, which = context.in_places(maps), context.form_of(op), which.reshape(shape)
    nets = np.empty((form.wires, *shape), np.int32)
    for i, (bounds, values) in enumerate(found):
        some = Number(numbers.nets[:, which == i], numbers.form)
        answers = [context.at_least(some, bound) for bound in bounds]
        nets[:, which == i] = levels(context.builder, answers, values, form, some.nets.shape[1:]).nets
    return Number(nets, form)


def _results(op: RequantizeOp, form: Form, multiplier: int, divisor: int) -> tuple[list[int], list[int]]:
    """The numbers from which on a quotient is another one, and what it is: before the first of them, and from each."""
    if form.high - form.low >= MOST_NUMBERS:
        raise NotMappedError(f"a quotient of numbers from {form.low} to {form.high}")
    results = quotients(op, np.arange(form.low, form.high + 1), np.array(multiplier), np.array(divisor))
    changes = np.flatnonzero(np.diff(results)) + 1
    if len(changes) >= MOST_LEVELS:
        raise NotMappedError(f"a quotient with {len(changes) + 1} results: expected {MOST_LEVELS} at most")
    return (form.low + changes).tolist(), results[[0, *changes]].tolist()
