"""Whole numbers on wires, and sums of them that are not added up yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..functions import BALANCED, BINARY, Digits, negation, sum_and_carry
from ..netlist import Builder, Nets
from ..synthesis import gates


@dataclass(frozen=True)
class Form:
    """How numbers from low to high lie on wires: the sum of the wires' digits times their weights, and an offset."""

    name: str
    digits: Digits
    weights: tuple[int, ...]
    offset: int
    low: int
    high: int

    @property
    def wires(self) -> int:
        return len(self.weights)

    @property
    def positional(self) -> bool:
        """Whether it is digits of places, which can be compared one after the other."""
        return self == positional(self.digits, self.low, self.high)

    @property
    def signed(self) -> bool:
        """Whether the highest bit counts negative, as in two's complement."""
        return self.digits == BINARY and bool(self.weights) and self.weights[-1] < 0

    def decode(self, values: NDArray[np.int8]) -> NDArray[np.int64]:
        """The numbers [*shape] of the wires' digits [wires, *shape]."""
        return np.tensordot(np.array(self.weights, np.int64), values.astype(np.int64), 1) + self.offset

    def holds(self, number: int) -> bool:
        """Whether it has a form: 0 is no sign."""
        return self.low <= number <= self.high and (self.weights != (2,) or number != 0)

    def encode(self, numbers: NDArray[np.integer]) -> NDArray[np.int8]:
        """The wires' digits [wires, *shape] of numbers [*shape]. Raises ValueError for those out of range."""
        numbers = np.asarray(numbers, np.int64)
        if numbers.size and not (self.low <= numbers.min() and numbers.max() <= self.high):
            raise ValueError(f"expected numbers from {self.low} to {self.high}")
        if self.weights == (-1, 1):
            found = np.stack([numbers < 0, numbers > 0]).astype(np.int8)
        elif self.weights == (2,):
            found = (numbers > 0).astype(np.int8)[None]
        else:
            found = digits_of(self.digits, numbers, self.wires).astype(np.int8)
        if not np.array_equal(self.decode(found), numbers):
            raise ValueError(f"{self.name} has no form for some of these numbers")
        return found


def digits_of(digits: Digits, numbers: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """The digits [count, *shape] of numbers, the lowest place first; what is beyond the last place is lost."""
    found, rest = np.empty((count, *numbers.shape), np.int64), np.asarray(numbers, np.int64)
    for place in range(count):
        carry = (rest - digits.low) // digits.radix
        found[place], rest = rest - carry * digits.radix, carry
    return found


def places(digits: Digits, low: int, high: int) -> int:
    """How many digits hold all numbers from low to high: balanced, or of two's complement where some are negative."""
    count = 0
    while not _holds(digits, count, low, high):
        count += 1
    return count


def _holds(digits: Digits, count: int, low: int, high: int) -> bool:
    if digits == BINARY and low < 0:
        return count > 0 and -(2 ** (count - 1)) <= low and high < 2 ** (count - 1)
    reach = (digits.radix**count - 1) // (digits.radix - 1)
    return digits.low * reach <= low and high <= digits.values[-1] * reach


def positional(digits: Digits, low: int, high: int) -> Form:
    """Digits of one place after the other, the lowest first; two's complement for binary ones where low < 0."""
    count = places(digits, low, high)
    weights = [digits.radix**place for place in range(count)]
    if digits == BINARY and low < 0:
        weights[-1] *= -1
    return Form(f"{digits.name} places", digits, tuple(weights), 0, low, high)


def sign_pair() -> Form:
    """-1, 0 and 1 as two bits {neg, pos}: whether it is -1, and whether it is 1."""
    return Form("{neg, pos}", BINARY, (-1, 1), 0, -1, 1)


def sign() -> Form:
    """-1 and 1 as one bit."""
    return Form("sign", BINARY, (2,), -1, -1, 1)


@dataclass(frozen=True)
class Number:
    """Numbers of one form, as many as the wires' shape says. nets: [wires, *shape]."""

    nets: Nets
    form: Form

    def require_places(self) -> None:
        """Raises ValueError for a form that cannot be compared digit by digit."""
        if not self.form.positional:
            raise ValueError(f"{self.form.name} cannot be compared: expected digits of places")


@dataclass(frozen=True)
class Terms:
    """A sum that is not added up: of the wires' digits, each times radix ** place, and an offset.

    columns: by place, wires [terms, *shape]. low, high: of the whole sum; it is known to lie between them, so that what
    a carry out of the last place would be does not matter.
    """

    columns: Sequence[Nets]
    offset: int
    low: int
    high: int

    def plus(self, number: int) -> Terms:
        return Terms(self.columns, self.offset + number, self.low + number, self.high + number)

    @classmethod
    def join(cls, parts: Sequence[Terms]) -> Terms:
        """The sum of sums. Raises ValueError without any."""
        if not parts:
            raise ValueError("nothing to add")
        depth = max(len(part.columns) for part in parts)
        columns = [
            np.concatenate([part.columns[place] for part in parts if place < len(part.columns)])
            for place in range(depth)
        ]
        offset, low, high = (sum(getattr(part, name) for part in parts) for name in ("offset", "low", "high"))
        return cls(columns, offset, low, high)


def weighted(builder: Builder, numbers: Number, weights: NDArray[np.integer]) -> Terms:
    """The sum of numbers [terms, *shape] times fixed weights [terms]. A weight of 0 costs nothing, others a term for
    each digit of theirs that is not 0: balanced digits, for binary wires the signed ones of which most are 0. What is
    subtracted is inverted."""
    digits, form = builder.library.digits, numbers.form
    shape = numbers.nets.shape[2:]
    columns = dict[int, list[Nets]]()
    offset = form.offset * int(np.sum(weights, dtype=np.int64))
    for factor in np.unique(weights[weights != 0]).tolist():
        chosen = numbers.nets[:, weights == factor]
        for nets, weight in zip(chosen, form.weights, strict=True):
            for place, digit in enumerate(signed_digits(digits, weight * factor)):
                if digit:
                    columns.setdefault(place, []).append(nets if digit > 0 else gates(builder, negation(digits), nets))
                    if digit < 0:  # -b is (not b) - 1 for a bit; a balanced digit has no such rest
                        offset -= (digits.low + digits.values[-1]) * digits.radix**place * len(nets)
    low, high = (
        int(np.where(weights > 0, weights * first, weights * second).sum(dtype=np.int64))
        for first, second in ((form.low, form.high), (form.high, form.low))
    )
    empty = np.empty((0, *shape), np.int32)
    return Terms(
        [np.concatenate(columns[i]) if i in columns else empty for i in range(max(columns, default=0) + 1)],
        offset, low, high,
    )  # fmt: skip


def signed_digits(digits: Digits, value: int) -> list[int]:
    """-1, 0 and 1 by place: balanced digits; to radix 2 the non-adjacent form, in which a run of ones is two digits."""
    found = []
    while value:
        if digits.radix == 2:
            digit = 0 if value % 2 == 0 else 2 - value % 4
            value = (value - digit) // 2
        else:
            digit, value = sum_and_carry(BALANCED, value)
        found.append(digit)
    return found
