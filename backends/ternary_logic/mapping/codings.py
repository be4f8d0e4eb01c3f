"""How values of -1, 0 and 1 lie on wires, and what their products are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..functions import BALANCED, BINARY, Digits, Function, negation, signed_product
from ..netlist import Builder, Nets
from ..synthesis import gates
from .words import Terms


class Coding(Protocol):
    """wires: of one value. values: those that it can hold."""

    @property
    def name(self) -> str: ...
    @property
    def digits(self) -> Digits: ...
    @property
    def wires(self) -> int: ...
    @property
    def values(self) -> tuple[int, ...]: ...

    def encode(self, values: NDArray[np.integer]) -> NDArray[np.int8]:
        """The wires' digits [wires, *shape] of values [*shape]."""
        ...

    def products(self, builder: Builder, a: Nets, b: Nets) -> Terms:
        """The sum of the products along the first axis. a, b: wires [wires, terms, *shape]."""
        ...

    def weighted(self, builder: Builder, a: Nets, weights: NDArray[np.integer]) -> Terms:
        """The sum of products with fixed weights [terms]; those of 0 cost nothing. a: wires [wires, terms, *shape]."""
        ...


@dataclass(frozen=True)
class Balanced:
    """A trit for each value: one wire. A weight of -1 is an inverter, one of 1 a wire."""

    name: str = "balanced ternary"
    digits: Digits = BALANCED
    wires: int = 1
    values: tuple[int, ...] = (-1, 0, 1)

    def encode(self, values: NDArray[np.integer]) -> NDArray[np.int8]:
        return np.asarray(values, np.int8)[None]

    def products(self, builder: Builder, a: Nets, b: Nets) -> Terms:
        product = gates(builder, signed_product(self.digits), a[0], b[0])
        return Terms([product], 0, -len(product), len(product))

    def weighted(self, builder: Builder, a: Nets, weights: NDArray[np.integer]) -> Terms:
        minus = gates(builder, negation(self.digits), a[0][weights < 0])
        terms = np.concatenate([a[0][weights > 0], minus])
        return Terms([terms], 0, -len(terms), len(terms))


def _boolean(inputs: int, text: str) -> Function:
    function = Function.parse(BINARY, text)
    assert function.inputs == inputs
    return function


NOT, XNOR, AND_OR_NOT = negation(BINARY), _boolean(2, "10 01"), _boolean(4, "11 10 11 10 11 10 00 00")


@dataclass(frozen=True)
class SignPair:
    """Two bits for each value, {neg, pos}: whether it is -1, and whether it is 1. A weight of -1 swaps them.

    A sum of n values is the number of pos, and of neg that are not set, less n: one tree of adders for both.
    """

    name: str = "{neg, pos}"
    digits: Digits = BINARY
    wires: int = 2
    values: tuple[int, ...] = (-1, 0, 1)

    def encode(self, values: NDArray[np.integer]) -> NDArray[np.int8]:
        return np.stack([np.asarray(values) < 0, np.asarray(values) > 0]).astype(np.int8)

    def products(self, builder: Builder, a: Nets, b: Nets) -> Terms:
        not_pos = gates(builder, AND_OR_NOT, a[1], b[1], a[0], b[0])
        not_neg = gates(builder, AND_OR_NOT, a[1], b[0], a[0], b[1])
        pos = gates(builder, NOT, not_pos)
        return self._difference(pos, not_neg)

    def weighted(self, builder: Builder, a: Nets, weights: NDArray[np.integer]) -> Terms:
        neg, pos = (np.concatenate([a[i][weights > 0], a[1 - i][weights < 0]]) for i in (0, 1))
        not_neg = gates(builder, NOT, neg)
        return self._difference(pos, not_neg)

    @staticmethod
    def _difference(pos: Nets, not_neg: Nets) -> Terms:
        return Terms([np.concatenate([pos, not_neg])], -len(pos), -len(pos), len(pos))


@dataclass(frozen=True)
class Sign:
    """One bit for each value, -1 or 1: products are XNOR, and a sum of n is twice the number of ones less n."""

    name: str = "sign"
    digits: Digits = BINARY
    wires: int = 1
    values: tuple[int, ...] = (-1, 1)

    def encode(self, values: NDArray[np.integer]) -> NDArray[np.int8]:
        return (np.asarray(values) > 0).astype(np.int8)[None]

    def products(self, builder: Builder, a: Nets, b: Nets) -> Terms:
        same = gates(builder, XNOR, a[0], b[0])
        return self._twice(same)

    def weighted(self, builder: Builder, a: Nets, weights: NDArray[np.integer]) -> Terms:
        minus = gates(builder, NOT, a[0][weights < 0])
        return self._twice(np.concatenate([a[0][weights > 0], minus]))

    @staticmethod
    def _twice(ones: Nets) -> Terms:
        return Terms([ones[:0], ones], -len(ones), -len(ones), len(ones))


CODINGS: Mapping[str, Coding] = {coding.name: coding for coding in (Balanced(), SignPair(), Sign())}
