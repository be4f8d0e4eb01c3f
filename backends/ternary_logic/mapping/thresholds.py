"""Comparisons with constants: a number's digits from the lowest on, each of which decides unless it is equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..functions import Function
from ..netlist import Builder, Nets
from ..synthesis import gates
from .numbers import Number, digits_of

NO, YES = 0, 1
"""The digits of an answer, of every radix."""


def at_least(builder: Builder, numbers: Number, bounds: NDArray[np.integer]) -> Nets:
    """Whether numbers [channels, *shape], in places, are bounds [channels] or more: YES or NO. A bound that all or none
    reach costs nothing. Raises ValueError for numbers of other forms."""
    form, digits = numbers.form, builder.library.digits
    numbers.require_places()
    always = builder.constant(np.where(bounds <= form.low, YES, NO))
    decided = np.empty(numbers.nets.shape[1:], np.int32)
    decided[:] = always.reshape(-1, *[1] * (decided.ndim - 1))
    some = (bounds > form.low) & (bounds <= form.high)
    # with the highest bit of two's complement inverted, and the bound moved likewise, the order is that of plain bits
    wanted = digits_of(digits, bounds[some] + (2 ** (form.wires - 1) if form.signed else 0), form.wires)
    state = np.full(decided[some].shape, builder.constant(YES), np.int32)
    for place, nets in enumerate(numbers.nets[:, some]):
        inverted = form.signed and place == form.wires - 1
        for digit in np.unique(wanted[place]).tolist():
            at = wanted[place] == digit
            state[at] = _decide(builder, nets[at], state[at], digit, inverted)
    decided[some] = state
    return decided


def _decide(builder: Builder, nets: Nets, state: Nets, wanted: int, inverted: bool) -> Nets:
    """What is known after one more digit: it decides where it is not the one that is wanted."""
    digits = builder.library.digits

    def decide(digit: int, below: int) -> int:
        digit = 1 - digit if inverted else digit
        return YES if digit > wanted else NO if digit < wanted else max(below, NO)

    if np.all(state == builder.constant(YES)):  # there are no lower digits that could be too small
        return gates(builder, Function.tabulate(digits, 1, lambda digit: decide(digit, YES)), nets)
    return gates(builder, Function.tabulate(digits, 2, decide), nets, state)
