"""Element types and what follows from them: exact integer ranges, sets, storage, tensor shapes.

A tensor is xDSL's builtin `tensor<1x64x30x30x!tn.int<-1:1>>`. Its element type is `f32`, a range `!tn.int<lo:hi>`
or a set `!tn.set<-1,1>` (bipolar). Lane widths, accumulators and engines follow from these and nothing guesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, Float32Type, IntAttr, TensorType, f32
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@irdl_attr_definition
class IntType(ParametrizedAttribute, TypeAttribute):
    """Integers lo..hi, both included: `!tn.int<-1:1>`."""

    name = "tn.int"
    lo: IntAttr
    hi: IntAttr

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            lo = parser.parse_integer(allow_boolean=False)
            parser.parse_punctuation(":")
            hi = parser.parse_integer(allow_boolean=False)
        return [IntAttr(lo), IntAttr(hi)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.lo.data}:{self.hi.data}")

    def verify(self) -> None:
        if not INT64_MIN <= self.lo.data <= self.hi.data <= INT64_MAX:
            raise VerifyException(f"!tn.int<{self.lo.data}:{self.hi.data}>: expected -2^63 <= lo <= hi < 2^63")


@irdl_attr_definition
class SetType(ParametrizedAttribute, TypeAttribute):
    """A sorted set of integers with gaps: `!tn.set<-1,1>` is a bipolar (binary) value."""

    name = "tn.set"
    values: ArrayAttr[IntAttr]

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        values = parser.parse_comma_separated_list(
            AttrParser.Delimiter.ANGLE, lambda: IntAttr(parser.parse_integer(allow_boolean=False))
        )
        return [ArrayAttr(values)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(",".join(str(v.data) for v in self.values))

    def verify(self) -> None:
        values = [v.data for v in self.values]
        if len(values) < 2 or sorted(set(values)) != values:
            raise VerifyException(f"!tn.set<{values}>: expected at least two values, strictly increasing")


Element: TypeAlias = Float32Type | IntType | SetType
Tensor: TypeAlias = TensorType[Attribute]


def int_type(lo: int, hi: int) -> IntType:
    """The range lo..hi; one that leaves 64 bits is the whole 64-bit range, where arithmetic wraps."""
    if lo < INT64_MIN or hi > INT64_MAX:
        lo, hi = INT64_MIN, INT64_MAX
    return IntType(IntAttr(int(lo)), IntAttr(int(hi)))


def may_wrap(value: SSAValue | Attribute) -> bool:
    """Whether the integers of a tensor may have left 64 bits on the way."""
    return range_of(element_of(value)) == (INT64_MIN, INT64_MAX)


def set_type(values: Iterable[int]) -> SetType:
    return SetType(ArrayAttr([IntAttr(int(v)) for v in sorted(values)]))


TERNARY = int_type(-1, 1)
BIPOLAR = set_type((-1, 1))
BOOL = int_type(0, 1)


def tensor_type(shape: Sequence[int], element: Attribute) -> Tensor:
    return TensorType(element, [int(d) for d in shape])


def tensor_of(value: SSAValue | Attribute) -> Tensor:
    """The tensor type of a value (or the type itself)."""
    kind = value.type if isinstance(value, SSAValue) else value
    if not isinstance(kind, TensorType):
        raise TypeError(f"not a tensor: {kind}")
    return cast(Tensor, kind)


def shape_of(value: SSAValue | Attribute) -> tuple[int, ...]:
    return tuple(tensor_of(value).get_shape())


def element_of(value: SSAValue | Attribute) -> Element:
    return cast(Element, tensor_of(value).element_type)


def is_float(value: SSAValue | Attribute) -> bool:
    return isinstance(element_of(value), Float32Type)


def range_of(element: Attribute) -> tuple[int, int]:
    """The smallest and largest integer of an integer or set element type."""
    if isinstance(element, IntType):
        return element.lo.data, element.hi.data
    if isinstance(element, SetType):
        return element.values.data[0].data, element.values.data[-1].data
    raise TypeError(f"no integer range: {element}")


def values_of(element: Attribute) -> tuple[int, ...]:
    """All values of a small integer or set type, in order."""
    if isinstance(element, SetType):
        return tuple(v.data for v in element.values)
    lo, hi = range_of(element)
    return tuple(range(lo, hi + 1))


def contains(outer: Attribute, inner: Attribute) -> bool:
    """True when every value of `inner` is one of `outer`."""
    if isinstance(outer, Float32Type) or isinstance(inner, Float32Type):
        return outer == inner
    if isinstance(outer, SetType):
        allowed = {v.data for v in outer.values}
        lo, hi = range_of(inner)
        return hi - lo < 1 << 16 and allowed.issuperset(values_of(inner))
    (a, b), (c, d) = range_of(outer), range_of(inner)
    return a <= c and d <= b


def meet(first: Attribute, second: Attribute) -> Attribute:
    """The values that both element types have; `second` where there are none, which is code that never runs."""
    if contains(second, first):
        return first
    if contains(first, second) or isinstance(first, Float32Type) or isinstance(second, Float32Type):
        return second
    (a, b), (c, d) = range_of(first), range_of(second)
    lo, hi = max(a, c), min(b, d)
    chosen = first if isinstance(first, SetType) else second
    if isinstance(chosen, SetType):
        common = [v for v in values_of(chosen) if lo <= v <= hi]
        return second if not common else set_type(common) if len(common) > 1 else int_type(common[0], common[0])
    return int_type(lo, hi) if lo <= hi else second


_STORAGE = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


def storage_dtype(element: Attribute) -> np.dtype:
    """The smallest dtype that holds the element: float32, or int8, uint8, int16, ... int64 in this order."""
    if isinstance(element, Float32Type):
        return np.dtype(np.float32)
    lo, hi = range_of(element)
    for kind in _STORAGE:
        info = np.iinfo(kind)
        if info.min <= lo and hi <= info.max:
            return np.dtype(kind)
    raise TypeError(f"no storage type holds {element}")


def element_of_dtype(dtype: np.dtype) -> Element:
    """The element type of a numpy dtype: f32 for float32, the full range for integers, 0:1 for bool.

    Raises TypeError for dtypes outside the dialect (float64, uint64, complex, strings, ...).
    """
    if dtype == np.float32:
        return f32
    if dtype == np.bool_:
        return BOOL
    if dtype.kind in "iu" and dtype != np.uint64:
        info = np.iinfo(dtype)
        return int_type(int(info.min), int(info.max))
    raise TypeError(f"no element type for dtype {dtype}")


def element_of_array(array: np.ndarray) -> Element:
    """The tightest element type of an array's values: f32, `!tn.set<-1,1>` for exactly {-1, +1}, else a range."""
    if array.dtype.kind == "f":
        return f32
    if array.size == 0:
        return int_type(0, 0)
    lo, hi = int(array.min()), int(array.max())
    if (lo, hi) == (-1, 1) and bool(np.all(array != 0)):
        return BIPOLAR
    return int_type(lo, hi)
