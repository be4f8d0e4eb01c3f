"""One dot product as a netlist: the smallest piece that ternary and binary circuits are compared by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cell import Library
from ..netlist import Builder, Netlist
from .adders import add_up
from .codings import Coding
from .words import Word


def dot_product(
    library: Library, coding: Coding, terms: int, weights: NDArray[np.integer] | None = None
) -> tuple[Netlist, Word]:
    """The sum of a[i] * b[i], or of a[i] * weights[i] for fixed weights. Inputs `a` and `b`: [wires, terms]; output
    `y`: the word's wires.

    Raises ValueError where coding and library have other digits, or nothing is to be added.
    """
    if coding.digits != library.digits:
        raise ValueError(f"{coding.name} needs {coding.digits.name} cells, {library.name} has {library.digits.name}")
    builder = Builder(library)
    a = builder.input("a", coding.wires, terms)
    if weights is None:
        sums = coding.products(builder, a, builder.input("b", coding.wires, terms))
    else:
        sums = coding.weighted(builder, a, weights)
    word = add_up(builder, sums)
    builder.output("y", word.nets)
    return builder.finish(), word
