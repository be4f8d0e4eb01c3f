"""Trees of adders: sums become numbers, three digits of a place at a time."""

from __future__ import annotations

import numpy as np

from ..functions import Function, adder, sum_and_carry
from ..netlist import Builder, Nets
from ..synthesis import gates
from .numbers import Number, Terms, digits_of, positional


def add_up(builder: Builder, terms: Terms) -> Number:
    """The number that a sum is. A full adder takes three digits of a place and leaves one there and one in the next; a
    half adder takes the last two. Digits of the offset become part of the last adder of their place.

    Carries out of the last place are dropped: the whole sum is known to fit, so they add up to nothing (balanced), or
    to a multiple of what two's complement counts to.
    """
    digits = builder.library.digits
    form = positional(digits, terms.low, terms.high)
    count = form.wires
    offset = digits_of(digits, np.array(terms.offset), count).tolist()
    shape = terms.columns[0].shape[1:]
    columns = [*terms.columns[:count], *[np.empty((0, *shape), np.int32)] * (count - len(terms.columns))]
    nets = np.empty((count, *shape), np.int32)
    for place in range(count):
        column = columns[place]
        carries = list[Nets]()
        while len(column) > 2:
            thirds = len(column) // 3
            first, second, third = column[: 3 * thirds].reshape(3, thirds, *shape)
            stay, carry = full_adder(builder, first, second, third)
            column = np.concatenate([column[3 * thirds :], stay])
            carries.append(carry)
        if len(column) == 2 and not offset[place]:
            stay, carry = half_adder(builder, column[0], column[1])
            carries.append(carry[None])
            nets[place] = stay
        else:
            nets[place], carry = _with_digit(builder, column, offset[place], last=place + 1 == count)
            carries += [] if carry is None else [carry[None]]
        if carries and place + 1 < count:
            columns[place + 1] = np.concatenate([columns[place + 1], *carries])
    return Number(nets, form)


def _with_digit(builder: Builder, column: Nets, digit: int, *, last: bool) -> tuple[Nets, Nets | None]:
    """Two digits at most and a constant one: the digit that stays, and the carry, or None where that is 0 or of no use
    in the last place."""
    digits = builder.library.digits
    if not len(column):
        return np.broadcast_to(builder.constant(digit), column.shape[1:]), None
    if not digit:
        return column[0], None
    stay, carry = (
        Function.tabulate(digits, len(column), lambda *values, i=i: sum_and_carry(digits, sum(values) + digit)[i])
        for i in (0, 1)
    )
    return gates(builder, stay, *column), None if last else gates(builder, carry, *column)


def half_adder(builder: Builder, a: Nets, b: Nets) -> tuple[Nets, Nets]:
    """Sum and carry: one cell where the library has it."""
    functions = adder(builder.library.digits, 2)
    if (cell := builder.library.find(*functions)) is not None:
        stay, carry = builder.gate(cell, a, b)
        return stay, carry
    return gates(builder, functions[0], a, b), gates(builder, functions[1], a, b)


def full_adder(builder: Builder, a: Nets, b: Nets, c: Nets) -> tuple[Nets, Nets]:
    """Sum and carry: one cell where the library has it, else two half adders, whose carries add up to a digit."""
    digits = builder.library.digits
    if (cell := builder.library.full_adder) is not None:
        stay, carry = builder.gate(cell, a, b, c)
        return stay, carry
    stay, first = half_adder(builder, a, b)
    stay, second = half_adder(builder, stay, c)
    low, high = digits.low, digits.values[-1]
    return stay, gates(builder, Function.tabulate(digits, 2, lambda x, y: min(max(x + y, low), high)), first, second)
