"""Exported programs compute in onnxruntime what the interpreter says, and are what benchmarks say they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs.generate import network
from onnx import ModelProto
from xdsl.dialects.builtin import f32

import tercet
from tercet.backends.onnx.export import export
from tercet.backends.onnx.forms import FORMS
from tercet.backends.onnx.staircase import staircase
from tercet.backends.reference import interpreter
from tercet.ir.errors import UnsupportedError
from tercet.ir.locations import SOURCE_KEY
from tercet.ir.program import Port, Program
from tercet.ir.tn import TN
from tercet.ir.tn.constant import ConstantOp
from tercet.ir.tn.elementwise import CastOp, DivOp, RoundOp
from tercet.ir.tn.linear import ConvOp, MatMulOp
from tercet.ir.tn.quant import ThresholdOp
from tercet.ir.types import Element, int_type, storage_dtype, tensor_type
from tercet.passes.pipeline import graph_passes
from tercet.runtime.check.ort import open_probe, open_session

RNG = np.random.default_rng(5)


def equal(have: np.ndarray, want: np.ndarray) -> None:
    """Integers are equal, floats within 1e-5 of the largest."""
    assert have.dtype == want.dtype and have.shape == want.shape
    if want.dtype.kind != "f":
        assert np.array_equal(have, want)
    else:
        largest = float(np.abs(want[np.isfinite(want)]).max(initial=0))
        assert np.allclose(have, want, rtol=1e-5, atol=1e-5 * largest, equal_nan=True)


def agree(program: Program, inputs: dict[str, np.ndarray]) -> ModelProto:
    """Checks the export with and without onnxruntime's optimisations."""
    model = export(program)
    onnx.checker.check_model(model, full_check=True)
    want = interpreter.run(program, inputs)
    for optimize in (False, True):
        have = open_session(model, optimize=optimize).run(inputs)
        assert list(have) == list(want)
        for name, array in want.items():
            equal(have[name], array)
    return model


def program_of(kind: type, inputs: dict[str, np.ndarray], *constants: np.ndarray, **attributes) -> Program:
    """One operation on inputs, whose shapes and elements are those of arrays, and on constants."""
    ports = [
        Port(name, tensor_type(array.shape, f32 if array.dtype.kind == "f" else _element(array)), array.dtype)
        for name, array in inputs.items()
    ]
    program = Program.new("one", ports)
    made = [program.constant(f"c{i}", array) for i, array in enumerate(constants)]
    program.block.add_ops(made)
    result_type = attributes.pop("type", None)
    operands = [*program.block.args, *(c.result for c in made)]
    op = (
        kind.make(*operands, **attributes)
        if result_type is None
        else kind.make_typed(operands, [tensor_type(next(iter(inputs.values())).shape, result_type)], **attributes)
    )
    program.block.add_op(op)
    element = op.result.type.element_type
    program.finish([("y", op.result, storage_dtype(element))])
    return program


def _element(array: np.ndarray) -> Element:
    info = np.iinfo(array.dtype)
    return int_type(int(info.min), int(info.max))


@pytest.mark.parametrize("index", range(40))
def test_random_networks(index: int) -> None:
    made = network(2029, index)
    program = tercet.import_model(made.model)
    if FORMLESS.intersection(map(type, program.ops)):
        pytest.skip("it has an operation without a form")
    agree(program, made.inputs)
    for step in graph_passes():
        step.apply(program)
    agree(program, made.inputs)


FORMLESS = {kind for kind in TN.operations if kind not in FORMS and kind is not ConstantOp}
"""Operations that an export refuses: a form is not part of what a new operation must have."""


def test_forms_do_not_get_lost() -> None:
    assert len(FORMS) >= 52


def test_an_operation_without_a_form_is_named() -> None:
    program = tercet.import_model(network(1, 0).model)
    kept = FORMS.copy()
    FORMS.clear()
    try:
        with pytest.raises(UnsupportedError, match="has no form in ONNX"):
            export(program)
    finally:
        FORMS.update(kept)


@pytest.mark.parametrize("mode", ["round", "ceil", "floor", "up", "down", "half_up", "half_down"])
def test_rounding(mode: str) -> None:
    x = np.array([0.5, 1.5, -0.5, -2.5, 0.49999997, 8388607.5, -0.0, 3.2, -3.2, 2**30], np.float32)
    agree(program_of(RoundOp, {"x": x}, mode=mode), {"x": x})


@pytest.mark.parametrize("element", [int_type(-128, 127), int_type(0, 255), int_type(-(2**31), 2**31 - 1)])
def test_integers_wrap(element: Element) -> None:
    x = RNG.integers(-(2**63), 2**63 - 1, 60)
    agree(program_of(CastOp, {"x": x}, type=element), {"x": x})


@pytest.mark.parametrize("element", [int_type(-8, 7), int_type(-(2**31), 2**31 - 1), int_type(-(2**63), 2**63 - 1)])
def test_floats_saturate(element: Element) -> None:
    x = np.array([0.9, -0.9, 7.5, np.nan, np.inf, -np.inf, 1e30, -1e30, 2.0**31, 2.0**63, 123456789.0], np.float32)
    agree(program_of(CastOp, {"x": x}, type=element), {"x": x})


def test_integer_division_by_zero_is_zero() -> None:
    a, b = np.array([7, -7, 7, -7, 5, 0], np.int8), np.array([2, 2, -2, -2, 0, 0], np.int8)
    agree(program_of(DivOp, {"a": a, "b": b}), {"a": a, "b": b})


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_wide_sums_are_exact(dtype: type) -> None:
    info = np.iinfo(dtype)
    x = RNG.integers(info.min, info.max, (1, 6, 5, 5), dtype=dtype, endpoint=True)
    w = RNG.integers(-128, 128, (4, 6, 3, 3), dtype=np.int8)
    window = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1}
    model = agree(program_of(ConvOp, {"x": x}, w, **window), {"x": x})
    pieces = sum(node.op_type == "Conv" for node in model.graph.node)
    assert pieces == {np.int8: 1, np.int16: 2, np.int32: 3}[dtype]
    matrix = RNG.integers(-128, 128, (5, 7), dtype=np.int8)
    agree(program_of(MatMulOp, {"x": x}, matrix), {"x": x})


def test_weights_too_large_for_pieces_are_refused() -> None:
    x, w = np.zeros((1, 1, 4, 4), np.int16), np.full((1, 1, 1, 1), 2**24 - 1, np.int32)
    window = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    with pytest.raises(UnsupportedError, match="too large for an exact convolution"):
        export(program_of(ConvOp, {"x": x}, w, **window))


@pytest.mark.parametrize("step", [1, -1, 2])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("steps", "kinds"), [([3], {"Clip"}), ([-2, 3], {"Mul", "Floor", "Clip"}), ([-2, 3, 4], set())]
)
def test_stairs_become_an_affine_map(steps: list[int], kinds: set[str], signed: bool, step: int) -> None:
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 2, 8, 16)
    table = np.array([steps, [t + 5 for t in steps]])
    constants = [table, np.array([1, -1])] if signed else [table]
    program = program_of(ThresholdOp, {"x": x}, *constants, axis=1, base=-1, step=step)
    found = {node.op_type for node in agree(program, {"x": x}).graph.node}
    assert found >= kinds and ("GreaterOrEqual" in found) == (not kinds)


def test_stairs_are_exact_up_to_their_limit() -> None:
    x = np.arange(-(2**20) + 1, 2**20)
    for first, gap, count in ((-(2**20) + 5, 699050, 3), (7, 1, 255), (-9, 0, 4), (2**19, 3, 2)):
        table = first + gap * np.arange(count)[None]
        found = staircase(table, 2**20 - 1)
        assert found is not None
        a, b = found
        have = np.clip(np.floor(x.astype(np.float32) * a + b), 0, count)
        assert np.array_equal(have, np.searchsorted(table[0], x, side="right"))
    assert staircase(np.array([[0, 1, 3]]), 100) is None


def test_a_batched_program_takes_any_batch() -> None:
    digits = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"
    program = tercet.import_model(digits)
    assert program.batched
    (port,) = program.inputs
    x = RNG.uniform(0, 16, (3, *port.shape[1:])).astype(np.float32)
    (have,) = open_session(export(program), optimize=False).run({port.name: x}).values()
    (want,) = open_session(digits, optimize=False).run({port.name: x}).values()
    equal(have, want)


def test_an_export_is_a_model_for_the_importer() -> None:
    compared = 0
    for index in range(12):
        made = network(31, index)
        program = tercet.import_model(made.model)
        exported = export(program)
        if {"Mod", "IsNaN"} & {node.op_type for node in exported.graph.node}:  # of casts; no import takes them
            continue
        again = tercet.import_model(exported)
        compared += 1
        for name, want in interpreter.run(program, made.inputs).items():
            equal(interpreter.run(again, made.inputs)[name], want)
    assert compared >= 8


def test_nodes_say_which_source_node_they_compute() -> None:
    made = network(2029, 3)
    program = tercet.import_model(made.model)
    sources = {p.value for node in export(program).graph.node for p in node.metadata_props if p.key == SOURCE_KEY}
    assert sources
    probe = open_probe(export(program), sources)
    assert probe is not None and set(probe.results.values()) == sources


def test_an_output_that_is_an_input_keeps_its_name() -> None:
    x = np.zeros(3, np.float32)
    program = Program.new("same", [Port("x", tensor_type((3,), f32), x.dtype)])
    program.finish([("x", program.block.args[0], x.dtype)])
    agree(program, {"x": x})


@pytest.mark.parametrize("name", ["cnv_w2a2.onnx", "cnv_w1a1.onnx", "kws_w3a3.qonnx.onnx"])
def test_shared_models_give_the_shipped_outputs(name: str, models: Path) -> None:
    arrays = np.load(models / name.replace(".qonnx", "").replace(".onnx", ".io.npz"))
    program = tercet.import_model(models / name)
    for stage in ("import", "graph"):
        if stage == "graph":
            for step in graph_passes():
                step.apply(program)
        session = open_session(export(program))
        for x, want in zip(arrays["input"][:10], arrays["output"][:10], strict=True):
            (have,) = session.run({session.inputs[0]: x.reshape(program.inputs[0].shape)}).values()
            assert np.allclose(have.reshape(-1), want.reshape(-1), rtol=0, atol=1e-5 * np.abs(want).max())
