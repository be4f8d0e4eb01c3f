"""The table from operation class to Relax, filled by the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.ir import Operation, SSAValue

from ....ir.errors import IRError
from ....ir.locations import describe
from ....ir.operation import TensorOperation
from ....ir.types import element_of, is_float, range_of

Rule: TypeAlias = Callable[..., Any]
"""Called with the context, the operation and its operands in Relax; gives its result, or a list of results."""

RULES: dict[type[Operation], Rule] = {}

INT32 = np.iinfo(np.int32)


def relax_of(*kinds: type[TensorOperation]) -> Callable[[Rule], Any]:
    """Registers a function as the Relax of operation classes."""

    def register(rule: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = rule
        return rule

    return register


def wide(values: Sequence[SSAValue]) -> str:
    """In which exact arithmetic on these integers is done: int32 where it holds all of them, else int64."""
    ranges = [range_of(element_of(value)) for value in values if not is_float(value)]
    fits = all(INT32.min <= low and high <= INT32.max for low, high in ranges)
    return "int32" if fits else "int64"


def unsupported(op: Operation, what: str) -> IRError:
    return IRError(f"the TVM backend has no form for {what}", where=describe(op), hint="use the C backend")
