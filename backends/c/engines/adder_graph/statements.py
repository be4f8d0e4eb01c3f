"""What the code of an adder graph computes at a time: a statement is a sum of inputs and of other statements' sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from .....ir.sum_graph import SumGraph

MOST_TERMS = 8
"""Of a statement: its additions wait for one another."""


class Term(NamedTuple):
    """A value of the graph that is added, or subtracted."""

    value: int
    negative: bool = False


Statements = Mapping[int, Sequence[Term]]
"""The terms of each node that has a statement, as values of the graph (inputs + i is node i), operands first. The first
term is positive, shared sums stand before inputs where that is possible."""


def statements_of(graph: SumGraph, lanes: Sequence[int]) -> dict[int, list[Term]]:
    """A statement for each node but sums of inputs alone that are used once, and fit a byte as their user does: their
    terms join the user's.

    So an input is added to a sum that is in a register, by an instruction that reads it from memory, where the sum of
    two inputs would need a load of its own first. (Wider lanes need one anyway.) Sums that leave their lanes on the way
    wrap, and come back. lanes: bytes of each value's.
    """
    inputs, ends = graph.inputs, set(graph.outputs.tolist())
    uses = [0] * (inputs + graph.adds)
    for value in chain(graph.left.tolist(), graph.right.tolist()):
        uses[value] += 1
    found: dict[int, list[Term]] = {}
    open_sums: dict[int, list[Term]] = {}  # those that a user may take
    sides = zip(graph.left.tolist(), graph.right.tolist(), graph.subtract.tolist(), strict=True)
    for node, (left, right, subtract) in enumerate(sides, inputs):
        shared: list[Term] = []
        leaves: list[Term] = []
        for value, negative in ((left, False), (right, subtract)):
            if value < inputs:
                leaves.append(Term(value, negative))
            elif lanes[node] == 1 and value in open_sums and len(leaves) + len(open_sums[value]) < MOST_TERMS:
                leaves += [Term(v, n != negative) for v, n in open_sums.pop(value)]
                del found[value]
            else:
                shared.append(Term(value, negative))
        terms = found[node] = shared + leaves
        first = next(i for i, term in enumerate(terms) if not term.negative)
        terms.insert(0, terms.pop(first))
        if not shared and uses[node] == 1 and lanes[node] == 1 and node not in ends:
            open_sums[node] = terms
    return found
