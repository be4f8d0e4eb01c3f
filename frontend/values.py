"""What a name of the source model stands for while it is imported: a constant array or a value of the program."""

from __future__ import annotations

from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from ..ir.types import Element, element_of, element_of_dtype, int_type, range_of

MAX_ELEMENTS = 2**28
"""No tensor of a program is larger (1 GiB of float32): a broken shape must not exhaust the memory."""
MAX_RANK = 64
"""No tensor has more axes: numpy's own limit."""
MAX_INDICES = 2**20
"""No axis whose elements are picked by an index vector is longer."""

_SUB_BYTE = {
    np.dtype(ml_dtypes.int4): (-8, 7),
    np.dtype(ml_dtypes.uint4): (0, 15),
    np.dtype(ml_dtypes.int2): (-2, 1),
    np.dtype(ml_dtypes.uint2): (0, 3),
}
FLOATS = frozenset(np.dtype(t) for t in ("float32", "float16", "float64", ml_dtypes.bfloat16))
"""dtypes of a source that the program computes in float32."""
_PLAIN = {np.dtype(t) for t in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")}

FLOAT, INT64, INT32, UINT8, BOOL = (np.dtype(t) for t in ("float32", "int64", "int32", "uint8", "bool"))


class Refusal(Exception):
    """A sound node that tercet does not compile, with the reason; the importer collects them into one error."""


def element_for(dtype: np.dtype) -> Element:
    """The full element type of a dtype of the source. Raises Refusal for dtypes that `tn` does not have."""
    if dtype in _SUB_BYTE:
        return int_type(*_SUB_BYTE[dtype])
    if dtype in FLOATS:
        return f32
    if dtype in _PLAIN:
        return element_of_dtype(dtype)
    raise Refusal(f"dtype {dtype.name} is not supported")


def container(dtype: np.dtype) -> np.dtype:
    """The numpy dtype that a caller sees: int8 and uint8 for integers below one byte, float32 for bfloat16."""
    if dtype == ml_dtypes.bfloat16:
        return FLOAT
    if dtype in _SUB_BYTE:
        return np.dtype(np.int8 if _SUB_BYTE[dtype][0] < 0 else np.uint8)
    return dtype


def plain_array(array: np.ndarray) -> np.ndarray:
    """A constant as the weight store takes it: bool and integers below a byte become 8-bit integers, floats float32.

    Raises Refusal for dtypes that `tn` does not have.
    """
    element_for(array.dtype)
    if array.dtype in FLOATS:
        with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite
            return array.astype(FLOAT, copy=False)
    return array.astype(UINT8 if array.dtype == np.bool_ else container(array.dtype), copy=False)


@dataclass(eq=False)
class Value:
    """One tensor. dtype is the source's, also where the program knows a tighter range.

    array: the values of a constant; ssa: the value in the program, of a constant only once something used it there.
    per_sample: depends on the model's inputs, so that its leading axis is the batch in a batched program.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    array: np.ndarray | None = None
    ssa: SSAValue | None = None
    per_sample: bool = field(default=False)

    @classmethod
    def constant(cls, name: str, array: np.ndarray) -> Value:
        return cls(name, array.dtype, array.shape, array=array)

    @property
    def is_constant(self) -> bool:
        return self.array is not None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        """True for every float dtype; the program itself knows float32 only."""
        return "float" in self.dtype.name

    @property
    def element(self) -> Element:
        """The element type in the program, or the full one of the dtype for a constant not used there yet."""
        return element_of(self.ssa) if self.ssa is not None else element_for(self.dtype)

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and largest possible integer."""
        if self.array is not None and self.array.size:
            wide = self.array.astype(np.int64)
            return int(wide.min()), int(wide.max())
        return range_of(self.element)

    def equals(self, number: float) -> bool:
        """True for a constant whose every element is `number`."""
        return self.array is not None and bool(np.all(self.array.astype(np.float64) == number))
