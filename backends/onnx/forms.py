"""The table from operations to their forms in ONNX operators, filled by the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from xdsl.ir import Operation

from .graph import Tensor

Form: TypeAlias = Callable[..., "Tensor | Sequence[Tensor]"]
"""Called as f(graph, op, *operands), one Tensor for each operand. Gives the results in order, in any dtype that holds
them. Raises UnsupportedError where there is no exact form."""

FORMS: dict[type[Operation], Form] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


def form(*kinds: type[Operation]) -> Callable[[_F], _F]:
    """Decorator: the function writes these operations."""

    def enter(function: _F) -> _F:
        for kind in kinds:
            FORMS[kind] = function
        return function

    return enter
