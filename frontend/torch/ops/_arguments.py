"""Arguments of ATen operators: numbers that stand for tensors, sizes that stand for several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ...emitter import Emitter
from ...forms.elementwise import cast_to
from ...values import Value

Number: TypeAlias = "float | int | bool"
Operand: TypeAlias = "Value | Number"


def operand(e: Emitter, given: Operand, dtype: np.dtype, suffix: str = "operand") -> Value:
    """A tensor or a number as a tensor of that dtype."""
    if not isinstance(given, Value):
        return e.constant(np.asarray(given).astype(dtype), suffix)
    if given.array is not None and given.dtype != dtype:
        return Value.constant(given.name, given.array.astype(dtype))
    return cast_to(e, given, dtype)


def expanded(sizes: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """One size for every axis, from one for all."""
    given = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return given * rank if len(given) == 1 else given


def axes_of(e: Emitter, dims: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes counted from the front, ascending; none given means all."""
    given = () if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    if not rank:
        return ()
    return tuple(sorted(e.axes(given, rank))) if given else tuple(range(rank))
