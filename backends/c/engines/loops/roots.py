"""The table from operation to its loop nest and cost, filled by the files that write the nests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

from xdsl.ir import Operation

from .....ir.types import shape_of


def most_elements(op: Operation) -> int:
    """Of the results, or of the largest operand."""
    return max([sum(prod(shape_of(v)) for v in op.results), *(prod(shape_of(v)) for v in op.operands)])


@dataclass(frozen=True)
class Root:
    """emit(scope, stage, op) writes the nest. cost: a number of costs.toml, which it takes work(op) times."""

    emit: Callable[..., None]
    cost: str
    work: Callable[[Any], int]


ROOTS: dict[type[Operation], Root] = {}

_F = TypeVar("_F", bound=Callable[..., None])


def root(
    *kinds: type[Operation], cost: str = "element", work: Callable[[Any], int] = most_elements
) -> Callable[[_F], _F]:
    """Registers a function as the nest of operation classes."""

    def register(emit: _F) -> _F:
        ROOTS.update(dict.fromkeys(kinds, Root(emit, cost, work)))
        return emit

    return register
