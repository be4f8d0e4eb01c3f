"""ReLU and clips: a number's digits between two bounds, those of a bound beyond it."""

from __future__ import annotations

import numpy as np

from ....ir.tn.elementwise import ClipOp, ReluOp
from ..functions import Function
from ..mapping.numbers import Number, positional
from ..mapping.thresholds import YES
from ..synthesis import gates
from .rules import Context, Operand, gates_of, on_wires


@gates_of(ReluOp)
def relu(context: Context, op: ReluOp, x: Operand) -> Number:
    maps = on_wires(x, "a map")
    return _bounded(context, op, maps, max(maps.form.low, 0), max(maps.form.high, 0))


@gates_of(ClipOp)
def clip(context: Context, op: ClipOp, x: Operand) -> Number:
    maps = on_wires(x, "a map")
    low, high = (min(max(end, op.get("lo")), op.get("hi")) for end in (maps.form.low, maps.form.high))
    return _bounded(context, op, maps, int(low), int(high))


def _bounded(context: Context, op: ClipOp | ReluOp, maps: Number, low: int, high: int) -> Number:
    """Numbers below low become low, those above high become high."""
    digits, form = maps.form.digits, context.form_of(op)
    numbers, short = context.in_places(maps), positional(digits, low, high)
    if low == high:
        return Number(context.builder.constant(form.encode(np.full(numbers.nets.shape[1:], low))), form)
    nets = list(numbers.nets[: short.wires])
    sides = [(low, False)] if low > maps.form.low else []
    sides += [(high, True)] if high < maps.form.high else []
    for bound, above in sides:
        answer = context.at_least(numbers, bound)
        for place, digit in enumerate(short.encode(np.array(bound)).tolist()):

            def chosen(answer: int, have: int, digit: int = digit, above: bool = above) -> int:
                return digit if (answer >= YES) == above else have

            nets[place] = gates(context.builder, Function.tabulate(digits, 2, chosen), answer, nets[place])
    shape = numbers.nets.shape[1:]
    bounded = Number(np.array(nets, np.int32).reshape(short.wires, *shape), short)
    (result,) = context.on_wires([bounded], form)
    return result
