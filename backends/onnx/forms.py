"""The tables from operations to their forms in ONNX operators, filled by the files beside this one.

FORMS has the standard ones. A dialect, QCDQ or QONNX, has other forms for quantizers, which may be None: the standard
form is written then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from xdsl.ir import Operation

from .graph import Tensor

Form: TypeAlias = Callable[..., "Tensor | Sequence[Tensor]"]
"""Called as f(graph, op, *operands), one Tensor for each operand. Gives the results in order, in any dtype that holds
them. Raises UnsupportedError where there is no exact form."""

DialectForm: TypeAlias = Callable[..., "Tensor | None"]
"""As a Form; None where the dialect has none for this one."""

FORMS: dict[type[Operation], Form] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


def form(*kinds: type[Operation]) -> Callable[[_F], _F]:
    """Decorator: the function writes these operations."""

    def enter(function: _F) -> _F:
        for kind in kinds:
            FORMS[kind] = function
        return function

    return enter


def dialect_form(table: dict[type[Operation], DialectForm], kind: type[Operation]) -> Callable[[_F], _F]:
    """Decorator: the function writes these operations in a dialect."""

    def enter(function: _F) -> _F:
        table[kind] = function
        return function

    return enter
