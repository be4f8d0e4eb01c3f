"""The table from elementwise operation to what C generators know of it, filled beside the C code (expressions.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from xdsl.ir import Operation


@dataclass(frozen=True)
class ElementCode:
    """How C computes one element of an operation.

    write(op, *arguments): the C expression, see expressions.py. cost: which number of costs.toml, of the engine loops,
    an element takes. joins: whether the operation may join the kernel that computes its operand. alone: cycles of an
    element where it could have joined, but has a kernel of its own; measured. total(op): whether C can compute it for
    operands that are garbage, and does so cheaply: without a call, a search, a division of integers, or a row that an
    operand chooses.
    """

    write: Callable[..., str]
    cost: str
    joins: bool
    alone: float
    total: Callable[[Any], bool]


ELEMENTS: dict[type[Operation], ElementCode] = {}

_F = TypeVar("_F", bound=Callable[..., str])


def element(
    *kinds: type[Operation],
    cost: str = "element",
    joins: bool = True,
    alone: float = 1.0,
    total: Callable[[Any], bool] = lambda op: True,
) -> Callable[[_F], _F]:
    """Registers a function as the C writer of operation classes."""

    def register(write: _F) -> _F:
        ELEMENTS.update(dict.fromkeys(kinds, ElementCode(write, cost, joins, alone, total)))
        return write

    return register


def cycles_alone(op: Operation) -> float:
    """Cycles of an element of an operation that could have joined a kernel and did not."""
    return ELEMENTS[type(op)].alone if type(op) in ELEMENTS else 1.0


def may_join(op: Operation) -> bool:
    """Whether an operation may join the kernel that computes its operand."""
    return type(op) in ELEMENTS and ELEMENTS[type(op)].joins
