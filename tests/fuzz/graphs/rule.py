"""What the generator can append to a graph, as data: a rule for each operator of the import list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tercet.frontend.onnx import import_model  # noqa: F401  (fills the table)
from tercet.frontend.onnx.registry import TABLE

from .builder import Graph, Value

Build: TypeAlias = "Callable[[Graph, Value], Value | Sequence[Value]]"
"""Appends nodes that read the value; gives what later rules may read. Raises Stuck where no form is legal."""
Applies: TypeAlias = "Callable[[Graph, Value], bool]"


@dataclass(frozen=True)
class Rule:
    """needs: the operators that it writes. name: that of the operator, or of the pattern."""

    name: str
    build: Build
    applies: Applies
    weight: float
    needs: tuple[tuple[str, str], ...]


RULES: dict[str, Rule] = {}


def rule(
    name: str,
    applies: Applies = lambda g, x: True,
    *,
    weight: float = 1.0,
    domains: Sequence[str] = ("",),
    ops: Sequence[str] = (),
) -> Callable[[Build], Build]:
    """Decorator: enters a rule. ops: the operators that it writes, in each of the domains; the one of its name unless
    told.

    A rule whose operators the importer does not (yet) have is left out.
    """
    needs = tuple((domain, op) for domain in domains for op in (ops or (name,)))

    def enter(build: Build) -> Build:
        if all(entry in TABLE for entry in needs):
            RULES[name] = Rule(name, build, applies, weight, needs)
        return build

    return enter


# -- what a rule may ask of its operand -------------------------------------------------------------------------------


def floats(g: Graph, x: Value) -> bool:
    return x.is_float


def numbers(g: Graph, x: Value) -> bool:
    """What arithmetic takes: no bool and no dtype below a byte."""
    return x.dtype.name in ("float32", "int8", "uint8", "int32", "int64")


def movable(g: Graph, x: Value) -> bool:
    """What operators that move elements take in every opset."""
    return x.dtype.name in ("float32", "int8", "uint8", "int32", "int64", "bool")


def both(*tests: Applies) -> Applies:
    return lambda g, x: all(test(g, x) for test in tests)


def rank(*ranks: int) -> Applies:
    return lambda g, x: x.rank in ranks


def full(g: Graph, x: Value) -> bool:
    return x.count > 0


def since(opset: int) -> Applies:
    return lambda g, x: g.opset >= opset


def before(opset: int) -> Applies:
    return lambda g, x: g.opset < opset
