"""Small constants in the text: exact, with their dtype, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from tercet.ir.errors import IRError
from tercet.ir.literals import DTYPES, MOST_VALUES
from tercet.ir.program import Program
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.types import element_of_array, tensor_type
from tercet.ir.weights import WeightStore


def returning(array: np.ndarray) -> Program:
    """A program that gives a constant."""
    program = Program.new("constant", [])
    constant = program.constant("c", array)
    program.block.add_op(constant)
    program.finish([("y", constant.result, array.dtype)])
    return program


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4))
    )
)
def test_values_round_trip_to_the_bit(array: np.ndarray) -> None:
    program = returning(array)
    text = program.text()
    again = Program.parse(text, program.weights_beside_text())
    have = again.weights["c"]
    assert (have.dtype, have.shape, have.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert again.text() == text
    assert all(op.values is None for op in again.ops if isinstance(op, ConstantOp))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"), (-0.0, "-0.0"), (1e-30, "1.0e-30"), (np.inf, "inf"), (-np.inf, "-inf"), (np.nan, "nan"),
        (16777216, "1.6777216e+07"), (0.1, "0.1"), (np.finfo(np.float32).smallest_subnormal, "1.0e-45"),
    ],
)  # fmt: skip
def test_floats_are_short(value: float, text: str) -> None:
    assert f"#tn.values<float32 : {text}>" in returning(np.array(value, np.float32)).text()


def test_large_constants_and_other_nans_stay_in_the_store() -> None:
    payload = np.frombuffer(np.array([0x7FC00001], np.uint32).tobytes(), np.float32)
    for array in (np.zeros(MOST_VALUES + 1, np.int8), payload, np.zeros(2)):
        program = Program.new("c", [])
        op = ConstantOp.make_typed([], [tensor_type(array.shape, element_of_array(array))], value="c")
        constant = program.constant("c", array)
        program.block.add_op(constant)
        program.finish([("y", constant.result, np.dtype(np.float32))])
        assert "tn.values" not in program.text() and set(program.weights_beside_text()) == {"c"}
        op.erase()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1, 2, 3>", "1, 2>", "expected 3 elements, got 2"),
        ("1, 2, 3>", "1, 2, 300>", "a number does not fit int8"),
        ("1, 2, 3>", "1, 2, 3.5>", "a number does not fit int8"),
        ("1, 2, 3>", "1, 2, nan>", "a number does not fit int8"),
        ("1, 2, 3>", "1, 2, 1" + "0" * 400 + ">", "a number does not fit int8"),
        ("1, 2, 3>", ">", "cannot parse"),
        ("int8 :", "object :", "expected one of bool, int8"),
        ("tensor<3x", "tensor<99999999999x99999999999x", "expected 9999999999800000000001 elements, got 3"),
        ("tensor<3x", "tensor<-1x", "cannot parse"),
        ("tensor<3x!tn.int<1:3>>", "i8", "expected a tensor, got i8"),
        ("!tn.int<1:3>", "!tn.int<1:2>", "field values: expected !tn.int<1:2>"),
    ],
)
def test_values_that_do_not_fit_are_refused(old: str, new: str, message: str) -> None:
    text = returning(np.array([1, 2, 3], np.int8)).text()
    assert old in text
    with pytest.raises(IRError, match=message):
        Program.parse(text.replace(old, new), WeightStore()).verify()


def test_one_name_has_one_value() -> None:
    program = returning(np.array([1, 2, 3], np.int8))
    with pytest.raises(IRError, match="two constants '@c'"):
        Program.parse(program.text().replace("1, 2, 3", "1, 1, 3"), program.weights)
    assert program.weights["c"].tolist() == [1, 2, 3]


def test_what_the_text_holds_is_not_in_the_file(tmp_path: Path) -> None:
    program = returning(np.arange(5))
    program.save(tmp_path)
    assert len(WeightStore.open(tmp_path / "weights.npz")) == 0
    assert Program.load(tmp_path).weights["c"].tolist() == [0, 1, 2, 3, 4]
