"""Digits as bits: a trit is two, {neg, pos}: 10 is -1, 00 is 0, 01 is 1, and 11 is none. A bit is itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..cell import Cell
from ..functions import Digits


def width(digits: Digits) -> int:
    return 1 if digits.radix == 2 else 2


def bits_of(digits: Digits, value: int) -> str:
    """The bits of a digit, the highest first."""
    place = value - digits.low
    return str(place) if digits.radix == 2 else ("10", "00", "01")[place]


def rows(cell: Cell, output: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The truth table of an output in bits: those of the inputs, and the result's."""
    function = cell.outputs[output]
    for values in product(function.digits.values, repeat=function.inputs):
        yield tuple(bits_of(function.digits, v) for v in values), bits_of(function.digits, function(*values))


def lines_of(digits: Digits, values: NDArray[np.integer]) -> list[str]:
    """A line of bits for each vector, the first wire's last. values: digits [wires, vectors]."""
    codes = np.array([list(bits_of(digits, value)) for value in digits.values])
    letters = codes[np.asarray(values, np.int64)[::-1].T - digits.low]
    return ["".join(row) for row in letters.reshape(len(letters), -1)]
