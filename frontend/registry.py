"""A table from a format's operators to the functions that import them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .values import Value

Result: TypeAlias = "Value | Sequence[Value | None]"
ImportFunction: TypeAlias = Callable[..., Result]
"""Called as f(emitter, node, *inputs): one Value for each input, None for one left out. Gives the outputs in order,
None for outputs that nothing reads. Raises Refusal for what tercet does not compile, ModelError for what is broken."""


@dataclass(frozen=True)
class Entry:
    """A function and the number of inputs that it takes. folds: the operator is computed at once where its inputs can
    be, quantized weights too: no pass looks for integers behind it."""

    function: ImportFunction
    at_least: int
    at_most: int | None
    folds: bool

    @classmethod
    def of(cls, function: ImportFunction, *, folds: bool = False) -> Entry:
        """How many inputs a function takes follows from its parameters after (emitter, node)."""
        parameters = list(inspect.signature(function).parameters.values())[2:]
        fixed = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        required = sum(p.default is p.empty for p in fixed)
        variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        return cls(function, required, None if variadic else len(fixed), folds)

    @property
    def arity(self) -> str:
        if self.at_most == self.at_least:
            return str(self.at_least)
        return f"{self.at_least} to {self.at_most}" if self.at_most is not None else f"{self.at_least} or more"
