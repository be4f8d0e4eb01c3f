"""Trees of adders: sums become words, three digits of a place at a time."""

from __future__ import annotations

import numpy as np

from ..functions import Digits, Function, adder, sum_and_carry
from ..netlist import Builder, Nets
from .words import Terms, Word, places


def add_up(builder: Builder, terms: Terms) -> Word:
    """The word of a sum. A full adder takes three digits of a place and leaves one there and one in the next; a half
    adder takes the last two. Digits of the offset become part of the last adder of their place.

    Carries out of the last place are dropped: the whole sum is known to fit, so they add up to nothing (balanced), or
    to a multiple of what two's complement counts to.
    """
    digits = builder.library.digits
    count = places(digits, terms.low, terms.high)
    offset = _offset_digits(digits, terms.offset, count)
    columns = [terms.columns[i] if i < len(terms.columns) else None for i in range(count)]
    shape = terms.columns[0].shape[1:]
    nets = np.empty((count, *shape), np.int32)
    full, half = builder.cell(*adder(digits, 3)), builder.cell(*adder(digits, 2))
    for place in range(count):
        have = columns[place]
        column = np.empty((0, *shape), np.int32) if have is None else have
        carries = list[Nets]()
        while len(column) > 2:
            thirds = len(column) // 3
            first, second, third = column[: 3 * thirds].reshape(3, thirds, *shape)
            stay, carry = builder.gate(full, first, second, third)
            column = np.concatenate([column[3 * thirds :], stay])
            carries.append(carry)
        if len(column) == 2 and not offset[place]:
            stay, carry = builder.gate(half, column[0], column[1])
            carries.append(carry[None])
            nets[place] = stay
        else:
            nets[place], carry = _with_digit(builder, column, offset[place])
            carries += [] if carry is None else [carry[None]]
        if carries and place + 1 < count:
            below = columns[place + 1]
            columns[place + 1] = np.concatenate([*([] if below is None else [below]), *carries])
    return Word(nets, terms.low, terms.high)


def _offset_digits(digits: Digits, offset: int, count: int) -> list[int]:
    """The digits of a constant, those beyond the last place dropped."""
    found = []
    for _ in range(count):
        digit, offset = sum_and_carry(digits, offset)
        found.append(digit)
    return found


def _with_digit(builder: Builder, column: Nets, digit: int) -> tuple[Nets, Nets | None]:
    """Two digits at most and a constant one: the digit that stays, and the one that is carried (None: 0)."""
    digits = builder.library.digits
    if not len(column):
        return np.broadcast_to(builder.constant(digit), column.shape[1:]), None
    if not digit:
        return column[0], None
    stay, carry = (
        Function.tabulate(digits, len(column), lambda *values, i=i: sum_and_carry(digits, sum(values) + digit)[i])
        for i in (0, 1)
    )
    return _function(builder, stay, column), _function(builder, carry, column)


def _function(builder: Builder, function: Function, column: Nets) -> Nets:
    """A gate of one output, or the wire itself where the function does nothing."""
    if function == Function.tabulate(function.digits, 1, lambda a: a):
        return column[0]
    (result,) = builder.gate(builder.cell(function), *column)
    return result
