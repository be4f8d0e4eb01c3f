"""The table from (domain, operator) to the function that imports it, filled by the files in `ops/`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from .values import Value

Result: TypeAlias = "Value | Sequence[Value | None]"
ImportFunction: TypeAlias = Callable[..., Result]
"""Called as f(emitter, node, *inputs): one Value for each input, None for one left out. Gives the outputs in order,
None for outputs that nothing reads. Raises Refusal for what tercet does not compile, ModelError for what is broken."""

STANDARD = ("",)
MICROSOFT = ("com.microsoft",)
CHANNELS_LAST = ("qonnx.custom_op.channels_last",)
QONNX_DOMAINS = (
    "qonnx.custom_op.general",
    "onnx.brevitas",
    "finn.custom_op.general",
    "finn",
    *CHANNELS_LAST,
    "",
)

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """A function and the number of inputs that it takes. folds: the operator is computed at once where its inputs can
    be, quantized weights too: no pass looks for integers after it."""

    function: ImportFunction
    at_least: int
    at_most: int | None
    folds: bool

    @property
    def arity(self) -> str:
        if self.at_most == self.at_least:
            return str(self.at_least)
        return f"{self.at_least} to {self.at_most}" if self.at_most is not None else f"{self.at_least} or more"


TABLE: dict[tuple[str, str], Entry] = {}


def register(op_type: str, function: ImportFunction, domains: Sequence[str] = STANDARD, *, folds: bool = False) -> None:
    """Enters a function; how many inputs it takes follows from its parameters after (emitter, node)."""
    parameters = list(inspect.signature(function).parameters.values())[2:]
    fixed = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    required = sum(p.default is p.empty for p in fixed)
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    entry = Entry(function, required, None if variadic else len(fixed), folds)
    for domain in domains:
        TABLE[domain, op_type] = entry


def imports(*op_types: str, domains: Sequence[str] = STANDARD, folds: bool = False) -> Callable[[_F], _F]:
    """Decorator: the function imports these operators. folds: see Entry."""

    def enter(function: _F) -> _F:
        for op_type in op_types:
            register(op_type, function, domains, folds=folds)
        return function

    return enter
