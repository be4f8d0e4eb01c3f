"""Products of two numbers, neither of them fixed."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..functions import BALANCED, BINARY, Function, negation, signed_product
from ..netlist import Builder, Nets
from ..synthesis import gates
from .numbers import Form, Number, Terms

XNOR, AND, NAND = (Function.parse(BINARY, table) for table in ("10 01", "00 01", "11 10"))
AND_OR_NOT = Function.parse(BINARY, "11 10 11 10 11 10 00 00")
PAIR, SIGN = (-1, 1), (2,)
"""Weights of the wires of {neg, pos} and of one bit for -1 and 1."""


def products(builder: Builder, a: Number, b: Number) -> Terms:
    """The sum of a[i] * b[i] for numbers [terms, *shape]: of digits in places, {neg, pos} pairs, or signs. See
    docs/ternary-logic.md. Raises ValueError for a sign times anything but a sign, and for unbalanced digits."""
    pair = a.form.weights, b.form.weights
    n = a.nets.shape[1]
    if pair == (PAIR, PAIR):
        return _pairs(builder, a.nets, b.nets, n)
    if pair == (SIGN, SIGN):
        same = gates(builder, XNOR, a.nets[0], b.nets[0])
        return Terms([same[:0], same], -n, -n, n)
    if SIGN in pair or builder.library.digits not in (BALANCED, BINARY):
        raise ValueError(f"products of {a.form.name} and {b.form.name} are not known")
    low, high = product_range(a.form, b.form)
    columns, offset = _digits(builder, a, b)
    return Terms(columns, offset, n * low, n * high)


def product_range(a: Form, b: Form) -> tuple[int, int]:
    """The smallest and the largest product."""
    corners = [x * y for x, y in product((a.low, a.high), (b.low, b.high))]
    return min(corners), max(corners)


def _pairs(builder: Builder, a: Nets, b: Nets, n: int) -> Terms:
    """pos and neg of a product are each an AND-OR of two; the sum of n is the number of pos, and of neg that are not
    set, less n."""
    (a_neg, a_pos), (b_neg, b_pos) = a, b
    not_pos = gates(builder, AND_OR_NOT, a_pos, b_pos, a_neg, b_neg)
    not_neg = gates(builder, AND_OR_NOT, a_pos, b_neg, a_neg, b_pos)
    return Terms([np.concatenate([gates(builder, negation(BINARY), not_pos), not_neg])], -n, -n, n)


def _digits(builder: Builder, a: Number, b: Number) -> tuple[list[Nets], int]:
    """Each digit of one times each of the other, by place. A product of bits that counts negative, as those of the
    highest bit of two's complement or of neg do, is inverted: -p = (not p) - 1."""
    columns, offset = dict[int, list[Nets]](), 0
    radix, n = builder.library.digits.radix, a.nets.shape[1]
    for (x, first), (y, second) in product(zip(a.nets, a.form.weights, strict=True),
                                           zip(b.nets, b.form.weights, strict=True)):  # fmt: skip
        weight = first * second
        if radix == 3:
            function = signed_product(BALANCED)
        else:
            function = AND if weight > 0 else NAND
            offset += min(weight, 0) * n
        place = next(i for i in range(64) if radix**i == abs(weight))
        columns.setdefault(place, []).append(gates(builder, function, x, y))
    empty = np.empty((0, *a.nets.shape[2:]), np.int32)
    return [np.concatenate(columns[i]) if i in columns else empty for i in range(max(columns) + 1)], offset
