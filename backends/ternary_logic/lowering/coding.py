"""How the integers of a program lie on wires."""

from __future__ import annotations

from dataclasses import dataclass

from ....ir.types import Element, SetType, range_of, values_of
from ..functions import BALANCED, BINARY, Digits
from ..mapping.numbers import Form, positional, sign, sign_pair


@dataclass(frozen=True)
class Coding:
    """digits: of the wires. trits, signs: the forms of -1, 0, 1, and of -1, 1, where they are not digits of places."""

    name: str
    digits: Digits
    trits: Form | None = None
    signs: Form | None = None

    def form(self, element: Element) -> Form:
        """The form of an integer element."""
        low, high = range_of(element)
        if self.signs is not None and isinstance(element, SetType) and values_of(element) == (-1, 1):
            return self.signs
        if self.trits is not None and (low, high) == (-1, 1):
            return self.trits
        return positional(self.digits, low, high)


TERNARY = Coding("ternary", BALANCED)
SIGN_PAIRS = Coding("{neg, pos}", BINARY, sign_pair(), sign())
TWOS_COMPLEMENT = Coding("two's complement", BINARY)
CODINGS = {coding.name: coding for coding in (TERNARY, SIGN_PAIRS, TWOS_COMPLEMENT)}
