"""Products of two values of -1, 0 and 1, or -1 and 1, neither of them fixed."""

from __future__ import annotations

import numpy as np

from ..functions import BINARY, Function, negation, signed_product
from ..netlist import Builder
from ..synthesis import gates
from .numbers import Number, Terms

XNOR, AND_OR_NOT = Function.parse(BINARY, "10 01"), Function.parse(BINARY, "11 10 11 10 11 10 00 00")


def products(builder: Builder, a: Number, b: Number) -> Terms:
    """The sum of a[i] * b[i] for numbers [terms, *shape] of one form: trits, sign pairs or signs.

    Trits: one multiplier each. Sign pairs: pos and neg of a product are each an AND-OR of two; the sum of n is the
    number of pos, and of neg that are not set, less n. Signs: XNOR, and twice the number of ones less n. Raises
    ValueError for other forms.
    """
    n, weights = a.nets.shape[1], a.form.weights
    if a.form != b.form or weights not in ((1,), (-1, 1), (2,)):
        raise ValueError(f"products of {a.form.name} and {b.form.name} are not known")
    if weights == (1,):
        columns = [gates(builder, signed_product(builder.library.digits), a.nets[0], b.nets[0])]
        return Terms(columns, 0, -n, n)
    if weights == (2,):
        same = gates(builder, XNOR, a.nets[0], b.nets[0])
        return Terms([same[:0], same], -n, -n, n)
    (a_neg, a_pos), (b_neg, b_pos) = a.nets, b.nets
    not_pos = gates(builder, AND_OR_NOT, a_pos, b_pos, a_neg, b_neg)
    not_neg = gates(builder, AND_OR_NOT, a_pos, b_neg, a_neg, b_pos)
    return Terms([np.concatenate([gates(builder, negation(BINARY), not_pos), not_neg])], -n, -n, n)
