"""How constants are stored: two or three neighbouring values as bits or trits, everything else as it is."""

from __future__ import annotations

import numpy as np

from .....ir.types import BIPOLAR, Element, range_of, storage_dtype
from ...engine import Constant


def packed(array: np.ndarray, element: Element, *, as_stored: bool = False, axis: int = 0) -> tuple[Constant, str]:
    """A constant and the C expression that turns an element `{}` in memory into its value.

    as_stored: the kernel reads the array through a pointer, so that the expression has to be `{}`. axis: of the output
    channels, where the constant is weights.
    """
    dtype = storage_dtype(element)
    if dtype.kind == "f" or array.size == 0:
        return Constant(np.ascontiguousarray(array, dtype)), "{}"
    if element == BIPOLAR and not as_stored:
        return Constant((array.reshape(-1) > 0).astype(np.uint8), radix=2), "(2 * {} - 1)"
    lo, hi = range_of(element)
    if dtype == np.int8 and hi - lo in (1, 2):
        digits = (array.reshape(-1).astype(np.int64) - lo).astype(np.uint8)
        return Constant(digits, radix=hi - lo + 1, offset=lo, filters=_filters(array, axis)), "{}"
    return Constant(np.ascontiguousarray(array, dtype)), "{}"


def _filters(array: np.ndarray, axis: int) -> np.ndarray | None:
    """Which filter each element belongs to."""
    if array.ndim < 2:
        return None
    shape = [size if i == axis % array.ndim else 1 for i, size in enumerate(array.shape)]
    return np.broadcast_to(np.arange(array.shape[axis]).reshape(shape), array.shape).reshape(-1)
