"""The table from (domain, operator) to the function that imports it, filled by the files in `ops/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..registry import Entry, ImportFunction

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

TABLE: dict[tuple[str, str], Entry] = {}


def register(op_type: str, function: ImportFunction, domains: Sequence[str] = STANDARD, *, folds: bool = False) -> None:
    """Enters a function. folds: see Entry."""
    entry = Entry.of(function, folds=folds)
    for domain in domains:
        TABLE[domain, op_type] = entry


def imports(*op_types: str, domains: Sequence[str] = STANDARD, folds: bool = False) -> Callable[[_F], _F]:
    """Decorator: the function imports these operators. folds: see Entry."""

    def enter(function: _F) -> _F:
        for op_type in op_types:
            register(op_type, function, domains, folds=folds)
        return function

    return enter
