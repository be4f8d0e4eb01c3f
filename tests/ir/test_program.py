"""Programs: text round trip, locations, weight store, and the verifier's messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32
from xdsl.utils.exceptions import VerifyException

from tercet.ir.errors import IRError
from tercet.ir.locations import describe, fused_location, node_location, source_names
from tercet.ir.names import decode_name, encode_name, identifier
from tercet.ir.program import Port, Program
from tercet.ir.tn.elementwise import ClipOp
from tercet.ir.tn.linear import ConvOp
from tercet.ir.types import TERNARY, tensor_type
from tercet.ir.weights import WeightStore


def small(name: str = "conv.w", node: str = "conv1") -> Program:
    """conv 3x3, clip."""
    program = Program.new("small", [Port("x", tensor_type((1, 2, 5, 5), f32), np.dtype(np.float32))])
    at = node_location("Conv", node)
    w = program.constant(name, np.ones((4, 2, 3, 3), np.float32), at=at)
    conv = ConvOp.make(
        program.block.args[0], w.result, at=at, strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), group=1
    )
    clip = ClipOp.make(conv.result, lo=0.1, hi=float("inf"), at=fused_location(at, node_location("Clip", "clip")))
    program.block.add_ops([w, conv, clip])
    program.finish([("y", clip.result, np.dtype(np.float32))])
    return program


@given(st.text(max_size=20), st.text(max_size=20))
@settings(deadline=None)
def test_any_names_round_trip(name: str, node: str) -> None:
    program = small(name or "w", node)
    program.verify()
    text = program.text()
    again = Program.parse(text, program.weights)
    again.verify()
    assert again.text() == text
    assert Program.parse(text, program.weights).text() == text
    conv = next(op for op in again.ops if isinstance(op, ConvOp))
    assert source_names(conv.location) == [f"Conv:{node}"]


@given(st.text())
def test_names(name: str) -> None:
    assert decode_name(encode_name(name)) == name
    assert encode_name(name).isascii() and '"' not in encode_name(name)
    assert identifier(name) == "" or identifier(name).isidentifier()


def test_locations_name_the_source() -> None:
    clip = list(small().ops)[-1]
    assert describe(clip) == "node 'conv1' (Conv) + node 'clip' (Clip)"


def test_save_and_load(tmp_path: Path) -> None:
    program = small()
    program.save(tmp_path / "a")
    program.save(tmp_path / "b")
    for file in ("program.mlir", "weights.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    again = Program.load(tmp_path / "a")
    again.verify()
    assert again.text() == program.text()
    np.testing.assert_array_equal(again.weights["conv.w"], program.weights["conv.w"])
    assert again.inputs == program.inputs and again.outputs == program.outputs


def test_equal_weights_share_a_name_and_others_do_not() -> None:
    store = WeightStore()
    assert store.add("w", np.ones(2)) == "w"
    assert store.add("w", np.ones(2)) == "w"
    assert store.add("w", np.zeros(2)) == "w.1"
    with pytest.raises(ValueError, match="read-only"):
        store["w"][0] = 3


def test_store_refuses_objects_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(IRError, match="expected numbers"):
        WeightStore({"w": np.array([object()])})
    (tmp_path / "w.npz").write_text("nothing")
    with pytest.raises(IRError, match="not a weight store"):
        WeightStore.open(tmp_path / "w.npz")
    np.savez(tmp_path / "p.npz", w=np.array([{}], dtype=object))
    with pytest.raises(IRError, match="cannot be read"):
        WeightStore.open(tmp_path / "p.npz")["w"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tensor<1x4x5x5xf32>", "tensor<1x3x5x5xf32>", "field result 0: shape: expected .1, 4, 5, 5."),
        ("strides = array<i64: 1, 1>", "strides = array<i64: 0, 1>", "field strides: expected 2 positive integers"),
        ("group = 1 : i64", "group = 2 : i64", "field group"),
        ("@conv.w", "@other", "not in the weight store"),
        ("tensor<4x2x3x3xf32>", "tensor<4x2x3x4xf32>", "field (shape|kernel)"),
    ],
)
def test_the_verifier_says_what_it_wants(old: str, new: str, message: str) -> None:
    program = small()
    text = program.text()
    assert old in text
    with pytest.raises(IRError, match=message) as error:
        Program.parse(text.replace(old, new), program.weights).verify()
    assert "conv1" in error.value.where


def test_errors_leave_out_the_middle_of_long_lines() -> None:
    error = IRError(f"first\n{'a' * 5000}{'z' * 5000}\nlast", where="w" * 5000, hint="h" * 5000)
    where, _, what = str(error).partition(": ")
    assert [len(part) for part in (where, error.where, error.hint, error.what.split("\n")[1])] == [999] * 4
    assert what.startswith("first\naaa") and "aa ... zz" in what and "\nlast\n  hint: hhh" in what
    assert str(IRError(error.what, where=error.where, hint=error.hint)) == str(error)
    assert str(IRError("x" * 1000)) == "x" * 1000


@pytest.mark.parametrize("text", ["", "builtin.module {}", "nonsense", 'builtin.module { "x.y"() : () -> () }'])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(IRError):
        Program.parse(text, WeightStore())


def test_wrong_operands_are_refused_at_once() -> None:
    program = Program.new("p", [Port("x", tensor_type((1, 2, 5), TERNARY), np.dtype(np.int8))])
    w = program.constant("w", np.ones((1, 2, 1), np.float32))
    with pytest.raises(VerifyException, match="all float or all integer"):
        ConvOp.make(program.block.args[0], w.result, strides=(1,), pads=(0, 0), dilations=(1,), group=1)
