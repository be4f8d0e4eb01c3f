"""Small constants stand in the text of a program, so that it can be read, and run without a weight store.

    %s = tn.constant {value = @s, values = #tn.values<float32 : 0.5, -0.25>} : () -> tensor<2xf32>

In memory every array is in the weight store; `values` is there only while a program is printed or parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf, nan

import numpy as np
from xdsl.dialects.builtin import BytesAttr, StringAttr
from xdsl.ir import Attribute, Operation, ParametrizedAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

MOST_VALUES = 64
"""Constants of up to so many elements stand in the text."""

DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32")


@irdl_attr_definition
class ValuesAttr(ParametrizedAttribute):
    """The elements of an array in row-major order: `#tn.values<int8 : -1, 0, 1>`. Its shape is the constant's type's.

    Floats are the shortest decimals that give the same float32 again, `inf`, `-inf` or `nan`.
    """

    name = "tn.values"
    dtype: StringAttr
    data: BytesAttr

    @classmethod
    def of(cls, array: np.ndarray) -> ValuesAttr:
        return cls(StringAttr(array.dtype.name), BytesAttr(array.tobytes()))

    @property
    def array(self) -> np.ndarray:
        """One axis."""
        return np.frombuffer(self.data.data, self.dtype.data)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            dtype = parser.parse_identifier()
            if dtype not in DTYPES:
                parser.raise_error(f"expected one of {', '.join(DTYPES)}, got '{dtype}'")
            parser.parse_punctuation(":")
            numbers = parser.parse_comma_separated_list(AttrParser.Delimiter.NONE, lambda: _parse_number(parser))
            try:
                array = _exact(numbers, np.dtype(dtype))
            except (OverflowError, ValueError, TypeError):
                parser.raise_error(f"a number does not fit {dtype}")
        return [StringAttr(dtype), BytesAttr(array.tobytes())]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.dtype.data} : {', '.join(map(_number_text, self.array))}")


def _parse_number(parser: AttrParser) -> int | float:
    negative = parser.parse_optional_punctuation("-") is not None
    number: int | float
    if parser.parse_optional_keyword("inf"):
        number = inf
    elif parser.parse_optional_keyword("nan"):
        number = nan
    else:
        number = parser.parse_number(allow_boolean=False)
    return -number if negative else number


def _exact(numbers: list[int | float], dtype: np.dtype) -> np.ndarray:
    """Raises for a number that the dtype does not hold; decimals are rounded to float32."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array([float(number) for number in numbers], dtype)
    if any(isinstance(number, float) for number in numbers):
        raise ValueError("a float among integers")
    array = np.array([int(number) for number in numbers], dtype)
    if [int(number) for number in array] != numbers:
        raise OverflowError("out of range")
    return array


def _number_text(number: np.generic) -> str:
    if number.dtype.kind != "f":
        return str(int(number))
    value = float(number)
    if not np.isfinite(value):
        return str(value)
    plain = value == 0 or 1e-4 <= abs(value) < 1e7
    form = np.format_float_positional if plain else np.format_float_scientific
    text = form(np.float32(value), unique=True, trim="0")
    return text if np.float32(float(text)) == value else _as_double(value)


def _as_double(value: float) -> str:
    """All digits: exact whatever rounds the decimal, in two steps too."""
    return np.format_float_scientific(value, unique=True, trim="0")


def fits_text(array: np.ndarray) -> bool:
    """Whether the text holds an array to the last bit: not too many elements, no NaN but the usual one."""
    if not 0 < array.size <= MOST_VALUES or array.dtype.name not in DTYPES:
        return False
    if array.dtype.kind != "f" or not np.isnan(array).any():
        return True
    usual = np.float32(nan).tobytes()
    return all(x.tobytes() == usual for x in array[np.isnan(array)].ravel())


@contextmanager
def shown(values: Iterable[tuple[Operation, np.ndarray]]) -> Iterator[None]:
    """Within it, constants have their elements as a property."""
    marked: list[Operation] = []
    try:
        for op, array in values:
            op.properties["values"] = ValuesAttr.of(array)
            marked.append(op)
        yield
    finally:
        for op in marked:
            del op.properties["values"]
