"""Straight-through estimators, with which quantizers are trained: x + (q - x).detach() stands for q. Computed in floats
it is q but for a rounding error, which would hide the quantizer's integers; so q takes its place."""

from __future__ import annotations

from collections.abc import Iterable

from torch.fx import Node

from .node import behind_copies, packet

_DETACH = ("aten.detach", "aten.detach_")


def straight_through(nodes: Iterable[Node]) -> dict[Node, Node]:
    """Node -> the node that it stands for."""
    found = ((node, _meant(node)) for node in nodes)
    return {node: meant for node, meant in found if meant is not None}


def _meant(node: Node) -> Node | None:
    """q for x + detach(q - x), detach(q - x) + x, x - detach(x - q), and for detach(q) + x - detach(x)."""
    if (sum_ := _pair(node, "aten.add")) is not None:
        for x, other in (sum_, sum_[::-1]):
            inner = _pair(_detached(other), "aten.sub")
            if inner is not None and behind_copies(inner[1]) is behind_copies(x):
                return inner[0]
    if (difference := _pair(node, "aten.sub")) is not None:
        inner = _pair(_detached(difference[1]), "aten.sub")
        if inner is not None and behind_copies(inner[0]) is behind_copies(difference[0]):
            return inner[1]
        sum_, x = _pair(difference[0], "aten.add"), _detached(difference[1])
        if sum_ is not None and x is not None:
            for q, other in (sum_, sum_[::-1]):
                if behind_copies(other) is x:
                    return _detached(q) or q
    return None


def _pair(node: Node | None, wanted: str) -> tuple[Node, Node] | None:
    """The operands of an addition or subtraction of two tensors of the same shape."""
    if node is None or node.op != "call_function" or packet(node) != wanted or node.kwargs.get("alpha", 1) != 1:
        return None
    a, b = node.args[:2]
    if not (isinstance(a, Node) and isinstance(b, Node)):
        return None
    # as text: a comparison of symbolic sizes would add conditions to the graph
    shapes = {str(tuple(getattr(n.meta.get("val"), "shape", ()))) for n in (node, a, b)}
    return (a, b) if len(shapes) == 1 else None


def _detached(node: Node | None) -> Node | None:
    """What a node detaches from the graph of gradients; None where it does not."""
    plain = None if node is None else behind_copies(node)
    if plain is None or packet(plain) not in _DETACH:
        return None
    inner = plain.args[0]
    return behind_copies(inner) if isinstance(inner, Node) else None
