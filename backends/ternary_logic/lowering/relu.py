"""ReLU: a number's digits where it is 0 or more."""

from __future__ import annotations

import numpy as np

from ....ir.tn.elementwise import ReluOp
from ..functions import Function
from ..mapping.numbers import Number, positional
from ..mapping.thresholds import YES
from ..synthesis import gates
from .rules import Context, Operand, gates_of, on_wires


@gates_of(ReluOp)
def relu(context: Context, op: ReluOp, x: Operand) -> Number:
    maps, form = on_wires(x, "a map"), context.form_of(op)
    digits, low, high = maps.form.digits, maps.form.low, maps.form.high
    (numbers,) = context.on_wires([maps], positional(digits, low, high))
    if low < 0:
        short = positional(digits, 0, max(high, 0))
        kept = Function.tabulate(digits, 2, lambda answer, digit: digit if answer >= YES else 0)
        answer = context.at_least(numbers, 0)
        nets = [gates(context.builder, kept, answer, net) for net in numbers.nets[: short.wires]]
        numbers = Number(np.array(nets, np.int32).reshape(short.wires, *answer.shape), short)
    (result,) = context.on_wires([numbers], form)
    return result
