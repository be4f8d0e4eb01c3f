"""Functions of digits as truth tables, binary and ternary: what cells compute and netlists are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Digits:
    """The values of a wire: `radix` whole numbers from `low` on. symbols: how they are written, in ascending order."""

    name: str
    low: int
    symbols: str

    @property
    def radix(self) -> int:
        return len(self.symbols)

    @property
    def values(self) -> range:
        return range(self.low, self.low + self.radix)

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def symbol(self, value: int) -> str:
        return self.symbols[value - self.low]


BINARY = Digits("binary", 0, "01")
BALANCED = Digits("balanced ternary", -1, "-0+")
UNBALANCED = Digits("unbalanced ternary", 0, "012")
DIGITS = {digits.name: digits for digits in (BINARY, BALANCED, UNBALANCED)}

MOST_INPUTS = 6
"""Of a cell: what its text may have."""


@dataclass(frozen=True)
class Function:
    """A function of `inputs` digits to a digit. table: its values, digits of the first input changing slowest, in
    ascending order."""

    digits: Digits
    inputs: int
    table: tuple[int, ...]

    def __post_init__(self) -> None:
        size = self.digits.radix**self.inputs
        if len(self.table) != size or any(value not in self.digits for value in self.table):
            raise ValueError(f"expected {size} values among {self.digits.symbols}, got {list(self.table)}")

    def __call__(self, *arguments: int) -> int:
        index = 0
        for value in arguments:
            index = index * self.digits.radix + value - self.digits.low
        return self.table[index]

    def of(self, *arguments: np.ndarray) -> np.ndarray:
        """Of arrays of digits, int8, element by element."""
        index = np.zeros(np.broadcast_shapes(*(a.shape for a in arguments)), np.int64)
        for values in arguments:
            index = index * self.digits.radix + (values.astype(np.int64) - self.digits.low)
        return np.asarray(self.table, np.int8)[index]

    def of_rest(self, values: Sequence[int | None]) -> Function:
        """The function of the other inputs where some have a value."""
        count = sum(value is None for value in values)

        def value(*rest: int) -> int:
            left = iter(rest)
            return self(*(next(left) if value is None else value for value in values))

        return Function.tabulate(self.digits, count, value)

    def __str__(self) -> str:
        """The table in symbols, a word for each value of the inputs but the last one."""
        text, step = "".join(map(self.digits.symbol, self.table)), self.digits.radix
        return " ".join(text[i : i + step] for i in range(0, len(text), step))

    @classmethod
    def parse(cls, digits: Digits, text: str) -> Function:
        """The inverse of `str`. Raises ValueError for other symbols, and for a length that is no power of the radix."""
        symbols = "".join(text.split())
        unknown = sorted(set(symbols) - set(digits.symbols))
        if unknown:
            raise ValueError(f"expected {digits.symbols} alone, got {''.join(unknown)}")
        inputs = next((n for n in range(1, MOST_INPUTS + 1) if digits.radix**n == len(symbols)), None)
        if inputs is None:
            powers = ", ".join(str(digits.radix**n) for n in range(1, MOST_INPUTS + 1))
            raise ValueError(f"expected {powers} symbols, got {len(symbols)}")
        return cls(digits, inputs, tuple(digits.low + digits.symbols.index(s) for s in symbols))

    @classmethod
    def tabulate(cls, digits: Digits, inputs: int, value: Callable[..., int]) -> Function:
        """The function that a Python function computes."""
        return cls(digits, inputs, tuple(value(*each) for each in product(digits.values, repeat=inputs)))


def sum_and_carry(digits: Digits, total: int) -> tuple[int, int]:
    """The digits s and c with total = s + radix * c."""
    carry, rest = divmod(total - digits.low, digits.radix)
    return rest + digits.low, carry


@cache
def adder(digits: Digits, inputs: int) -> tuple[Function, Function]:
    """Sum and carry of the half adder (2 inputs) and the full adder (3 inputs)."""
    return (
        Function.tabulate(digits, inputs, lambda *values: sum_and_carry(digits, sum(values))[0]),
        Function.tabulate(digits, inputs, lambda *values: sum_and_carry(digits, sum(values))[1]),
    )


def unary_functions(digits: Digits) -> Sequence[Function]:
    """All of one input: 27 ternary ones."""
    return [Function(digits, 1, table) for table in product(digits.values, repeat=digits.radix)]


@cache
def negation(digits: Digits) -> Function:
    """The inverter: the standard ternary inverter STI, the binary INV."""
    return Function(digits, 1, tuple(reversed(digits.values)))


@cache
def signed_product(digits: Digits) -> Function:
    """The product of balanced digits; of unbalanced ones that stand for a balanced digit plus one."""
    shift = digits.low + 1
    return Function.tabulate(digits, 2, lambda a, b: (a - shift) * (b - shift) + shift)
