"""Answers become digits, and the larger of two numbers is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..functions import Function
from ..netlist import Builder, Nets
from ..synthesis import gates
from .numbers import Form, Number
from .thresholds import NO, YES


def levels(
    builder: Builder, answers: Sequence[Nets], values: Sequence[int], form: Form, shape: tuple[int, ...]
) -> Number:
    """values[n], with n the number of answers that are YES; none is without all before it.

    answers: wires of a shape each. A digit that changes once from value to value is one answer, or its opposite; one
    that changes more often is a gate for each change.
    """
    digits = form.encode(np.array(values))
    wires = [_digit(builder, answers, row.tolist()) for row in digits]
    return Number(np.stack([np.broadcast_to(wire, shape) for wire in wires]), form)


def _digit(builder: Builder, answers: Sequence[Nets], digits: Sequence[int]) -> Nets:
    wire: Nets | None = None
    kind = builder.library.digits
    for answer, before, after in zip(answers, digits[:-1], digits[1:], strict=True):
        if before == after:
            continue
        if wire is None:
            wire = gates(builder, Function.tabulate(kind, 1, lambda s, b=before, a=after: a if s >= YES else b), answer)
        else:
            chosen = Function.tabulate(kind, 2, lambda have, s, a=after: a if s >= YES else have)
            wire = gates(builder, chosen, wire, answer)
    return builder.constant(digits[0]) if wire is None else wire


def larger(builder: Builder, a: Number, b: Number) -> Number:
    """The larger of two numbers of one form, each of them. Raises ValueError for different forms."""
    form, digits = a.form, builder.library.digits
    if form != b.form:
        raise ValueError(f"expected numbers of one form, got {form.name} and {b.form.name}")
    most, least = Function.tabulate(digits, 2, max), Function.tabulate(digits, 2, min)
    if form.wires == 1 and form.weights[0] > 0:
        return Number(gates(builder, most, a.nets[0], b.nets[0])[None], form)
    if form.weights == (-1, 1):
        wires = [gates(builder, f, *pair) for f, *pair in zip((least, most), a.nets, b.nets, strict=True)]
        return Number(np.stack(wires), form)
    a.require_places()
    first = _not_less(builder, a, b)
    pick = Function.tabulate(digits, 3, lambda s, x, y: x if s >= YES else y)
    return Number(np.stack([gates(builder, pick, first, *pair) for pair in zip(a.nets, b.nets, strict=True)]), form)


def _not_less(builder: Builder, a: Number, b: Number) -> Nets:
    """Whether a >= b: from the lowest digit on, each decides unless both are equal."""
    digits, form = builder.library.digits, a.form
    state = builder.constant(YES)
    for place, (x, y) in enumerate(zip(a.nets, b.nets, strict=True)):
        signed = form.signed and place == form.wires - 1

        def decide(x: int, y: int, below: int, signed: bool = signed) -> int:
            return max(below, NO) if x == y else YES if (x < y) == signed else NO

        if place == 0:
            state = gates(builder, Function.tabulate(digits, 2, lambda x, y, f=decide: f(x, y, YES)), x, y)
        else:
            state = gates(builder, Function.tabulate(digits, 3, decide), x, y, state)
    return state
