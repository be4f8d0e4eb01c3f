"""Sums that several outputs share: added up once, by the graph that the pass sum-merge found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ....ir.sum_graph import SumGraph
from ..mapping.adders import add_up
from ..mapping.numbers import Form, Number, Terms, positional, weighted
from ..netlist import Builder

Leaves = Mapping[int, int]
"""What a value of a graph is the sum of: inputs and nodes, by their number in the graph, and their factors."""


def shared_sums(builder: Builder, graph: SumGraph, taps: Number) -> list[Terms]:
    """The sum of each output. taps: [wires, inputs of the graph, *shape].

    A node becomes a number where more than one sum reads it and the number has fewer digits than its terms: every
    reader saves an adder for each digit less. Elsewhere its terms join those of its readers.
    """
    numbers = {value: replace(taps, nets=taps.nets[:, value]) for value in range(graph.inputs)}
    nodes = _nodes(graph)
    kept, leaves = _kept(graph, nodes, taps.form), dict[int, Leaves]()
    for node, parts in nodes:
        leaves[node] = _joined(parts, leaves)
        if node in kept:
            numbers[node] = add_up(builder, _terms(builder, leaves[node], numbers, taps))
            del leaves[node]
    signs = np.where(graph.negate, -1, 1).tolist()
    outputs = [{value: sign} if value >= 0 else {} for value, sign in zip(graph.outputs.tolist(), signs, strict=True)]
    return [_terms(builder, _joined(output, leaves), numbers, taps) for output in outputs]


def _nodes(graph: SumGraph) -> list[tuple[int, Leaves]]:
    """Each node's number and what it adds up."""
    found = []
    for node, (left, right, less) in enumerate(zip(graph.left, graph.right, graph.subtract, strict=True), graph.inputs):
        parts = Counter({int(left): 1})
        parts[int(right)] += -1 if less else 1
        found.append((node, parts))
    return found


def _joined(parts: Leaves, leaves: Mapping[int, Leaves]) -> Leaves:
    """A sum with what its parts are sums of in place of those that have leaves."""
    total = Counter[int]()
    for value, factor in parts.items():
        for leaf, times in leaves.get(value, {value: 1}).items():
            total[leaf] += factor * times
    return {leaf: factor for leaf, factor in total.items() if factor}


def _kept(graph: SumGraph, nodes: Sequence[tuple[int, Leaves]], form: Form) -> set[int]:
    """The nodes that become numbers."""
    forms, smaller, leaves = dict.fromkeys(range(graph.inputs), form), set[int](), dict[int, Leaves]()
    for node, parts in nodes:
        leaves[node] = _joined(parts, leaves)
        bounds = [sorted((f * forms[v].low, f * forms[v].high)) for v, f in leaves[node].items()]
        number = positional(form.digits, sum(low for low, _ in bounds), sum(high for _, high in bounds))
        if number.wires < sum(forms[value].wires for value in leaves[node]):
            smaller.add(node)
            forms[node] = number
            del leaves[node]
    readers = Counter(graph.outputs.tolist())
    for node, parts in reversed(nodes):
        times = 1 if node in smaller and readers[node] > 1 else readers[node]
        for value in parts:
            readers[value] += times
    return {node for node in smaller if readers[node] > 1}


def _terms(builder: Builder, leaves: Leaves, numbers: Mapping[int, Number], taps: Number) -> Terms:
    """The numbers of one form at once, as most leaves are inputs."""
    if not leaves:
        return Terms([taps.nets[0, :0]], 0, 0, 0)
    by_form: dict[Form, list[int]] = {}
    for leaf in leaves:
        by_form.setdefault(numbers[leaf].form, []).append(leaf)
    return Terms.join([
        weighted(builder, Number(np.stack([numbers[leaf].nets for leaf in of], axis=1), form),
                 np.array([leaves[leaf] for leaf in of], np.int64))
        for form, of in by_form.items()
    ])  # fmt: skip
