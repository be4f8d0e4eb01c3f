"""One dot product as a netlist: the smallest piece that ternary and binary circuits are compared by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cell import Library
from ..netlist import Builder, Netlist
from .adders import add_up
from .numbers import Form, Number, weighted
from .products import products


def dot_product(
    library: Library, form: Form, terms: int, weights: NDArray[np.integer] | None = None
) -> tuple[Netlist, Form]:
    """The sum of a[i] * b[i], or of a[i] * weights[i] for fixed weights, and the form of the result. Inputs `a` and
    `b`: [wires, terms] of a form; output `y`.

    Raises ValueError where form and library have other digits, and for products that are not known.
    """
    library.require(form.name, form.digits)
    builder = Builder(library)
    a = Number(builder.input("a", form.wires, terms), form)
    if weights is None:
        sums = products(builder, a, Number(builder.input("b", form.wires, terms), form))
    else:
        sums = weighted(builder, a, weights)
    total = add_up(builder, sums)
    builder.output("y", total.nets)
    return builder.finish(), total.form
