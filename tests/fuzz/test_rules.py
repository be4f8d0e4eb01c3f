"""The generator: every operator of the import list has a rule, and all of them come up."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np

from tercet.frontend.onnx.registry import TABLE

from .graphs.generate import network, wanted_pair
from .graphs.rule import RULES


def test_every_operator_of_the_import_list_has_a_rule() -> None:
    """A new operator needs a rule in graphs/, or the networks never have it."""
    known = {entry for rule in RULES.values() for entry in rule.needs}
    assert sorted(set(TABLE) - known) == []


def test_every_operator_comes_up() -> None:
    written: set[str] = set()
    for index in range(500):
        written |= {node.op_type for node in network(0, index).model.graph.node}
    assert sorted({name for _, name in TABLE} - written) == []


def test_every_pair_of_rules_comes_in_turn() -> None:
    names = sorted(RULES)
    wanted = [tuple(rule.name for rule in wanted_pair(5, i)) for i in range(len(names) ** 2)]
    assert sorted(wanted) == sorted(product(names, names))


def test_a_network_follows_from_its_seed() -> None:
    for index in range(20):
        first, second = network(3, index), network(3, index)
        assert first.model.SerializeToString(deterministic=True) == second.model.SerializeToString(deterministic=True)
        for name, array in first.inputs.items():
            np.testing.assert_array_equal(array, second.inputs[name])
    assert network(3, 0).model != network(4, 0).model


def test_the_kinds_that_users_have_come_up() -> None:
    networks = [network(0, index) for index in range(200)]
    assert {a.ndim for n in networks for a in n.inputs.values()} >= {0, 1, 2, 3, 4, 5}
    assert any(0 in a.shape for n in networks for a in n.inputs.values())
    graphs = [n.model.graph for n in networks]
    batched = [any(d.dim_param for v in graph.input for d in v.type.tensor_type.shape.dim) for graph in graphs]
    assert 0.2 < np.mean(batched) < 0.6
    readers = [Counter(name for node in graph.node for name in set(node.input)) for graph in graphs]
    made = [{name for node in graph.node for name in node.output} for graph in graphs]
    forks = sum(
        count > 1 and name in names for c, names in zip(readers, made, strict=True) for name, count in c.items()
    )
    assert forks > len(networks)
    outputs = [{v.name for v in graph.output} for graph in graphs]
    assert any(o & {v.name for v in graph.input} for o, graph in zip(outputs, graphs, strict=True))
    assert any(o & {t.name for t in graph.initializer} for o, graph in zip(outputs, graphs, strict=True))
