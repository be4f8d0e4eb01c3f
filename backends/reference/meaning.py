"""The table from operation class to meaning, filled by the files beside this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from xdsl.ir import Operation

Meaning: TypeAlias = Callable[..., "np.ndarray | Sequence[np.ndarray]"]
"""Called with the operation and its operands (float32 or int64 arrays); gives the result, or several in order."""

MEANING: dict[type[Operation], Meaning] = {}

_F = TypeVar("_F", bound=Callable[..., Any])


def meaning(*kinds: type[Operation]) -> Callable[[_F], _F]:
    """Registers a function as the meaning of operation classes."""

    def register(function: _F) -> _F:
        for kind in kinds:
            MEANING[kind] = function
        return function

    return register
