"""Element types: text form, ranges, storage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from tercet.ir.program import context
from tercet.ir.types import (
    BIPOLAR,
    TERNARY,
    contains,
    element_of_array,
    element_of_dtype,
    int_type,
    meet,
    range_of,
    set_type,
    storage_dtype,
    values_of,
)

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64, INT64)
def test_int_round_trip(a: int, b: int) -> None:
    kind = int_type(min(a, b), max(a, b))
    assert str(kind) == f"!tn.int<{min(a, b)}:{max(a, b)}>"
    assert Parser(context(), str(kind)).parse_attribute() == kind
    info = np.iinfo(storage_dtype(kind))
    assert info.min <= range_of(kind)[0] and range_of(kind)[1] <= info.max


@given(st.sets(st.integers(-300, 300), min_size=2, max_size=9))
def test_set_round_trip(values: set[int]) -> None:
    kind = set_type(values)
    assert Parser(context(), str(kind)).parse_attribute() == kind
    assert values_of(kind) == tuple(sorted(values))
    assert contains(int_type(*range_of(kind)), kind)


def test_ranges_beyond_64_bits_wrap() -> None:
    assert range_of(int_type(-(2**80), 5)) == (-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    "text", ["!tn.int<3:2>", "!tn.set<1>", "!tn.set<1, 1>", "!tn.set<2, 1>", "!tn.int<1>", "!tn.int<a:b>"]
)
def test_bad_types_are_refused(text: str) -> None:
    with pytest.raises((ParseError, VerifyException)):
        Parser(context(), text).parse_attribute()


def test_contains() -> None:
    assert contains(TERNARY, BIPOLAR) and not contains(BIPOLAR, TERNARY)
    assert contains(f32, f32) and not contains(f32, TERNARY) and not contains(TERNARY, f32)
    assert contains(BIPOLAR, int_type(1, 1)) and not contains(int_type(0, 5), int_type(0, 6))


def test_elements_of_arrays() -> None:
    assert element_of_array(np.array([-1, 1, 1])) == BIPOLAR
    assert element_of_array(np.array([-1, 0, 1])) == TERNARY
    assert element_of_array(np.array([1.5], np.float32)) == f32
    assert element_of_array(np.zeros((0, 3), np.int8)) == int_type(0, 0)
    with pytest.raises(TypeError, match="float64"):
        element_of_dtype(np.dtype(np.float64))


def test_what_two_types_have_in_common() -> None:
    assert meet(int_type(-6, 1), int_type(-12, 0)) == int_type(-6, 0)
    assert meet(int_type(0, 3), int_type(-9, 9)) == int_type(0, 3)
    assert meet(int_type(-9, 9), BIPOLAR) == BIPOLAR
    assert meet(set_type((-3, -1, 1)), int_type(-2, 5)) == BIPOLAR
    assert meet(BIPOLAR, int_type(0, 5)) == int_type(1, 1)
    assert meet(int_type(0, 1), int_type(3, 4)) == int_type(3, 4)
    assert meet(f32, f32) == f32
