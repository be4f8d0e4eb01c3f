"""The table from ATen operators to the functions that import them, filled by the files in `ops/`. It needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ..registry import ImportFunction

ATEN = "aten"
QUANTIZED = "quantized_decomposed"

_F = TypeVar("_F", bound=Callable[..., Any])

TABLE: dict[str, ImportFunction] = {}
"""`aten.add` (all overloads) or `aten.max.dim` (one) -> a function, called as f(emitter, node, *arguments, **keywords)
with the arguments of the operator's schema: tensors as Values, sizes as ints, dtypes as numpy's. Gives a Value, or all
results in order, None for those that tercet has not."""
KEPT: set[str] = set()
"""Operators that stay in the program with constant arguments, too: the passes look for their integers and scales."""


def imports(*names: str, namespace: str = ATEN, kept: bool = False) -> Callable[[_F], _F]:
    """Decorator: the function imports these operators. kept: see KEPT."""

    def enter(function: _F) -> _F:
        for name in names:
            register(name, function, namespace=namespace, kept=kept)
        return function

    return enter


def register(name: str, function: ImportFunction, *bound: Any, namespace: str = ATEN, kept: bool = False) -> None:
    """Enters a function; bound: its first arguments, before the emitter."""
    TABLE[f"{namespace}.{name}"] = partial(function, *bound) if bound else function
    if kept:
        KEPT.add(f"{namespace}.{name}")


def find(key: str) -> ImportFunction | None:
    """The function for `namespace.operator.overload`."""
    return TABLE.get(key) or TABLE.get(key.rpartition(".")[0])
