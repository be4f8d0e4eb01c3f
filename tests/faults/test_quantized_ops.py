"""Neighbours of the faults in quantized operators: what other forms of the same operators and parameters there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, helper

import tercet
from tercet.backends.reference import interpreter

from .faults import check_compiled, compare
from .quantized_cases import (
    F32,
    I8,
    U8,
    Case,
    bundle,
    every,
    floats,
    integers,
    ms,
    node,
    onnxruntime,
    scale,
    triples,
    zero,
)
from .quantized_groups import COLUMNS, DYNAMIC, GROUPS, IMAGE, POOL, QLINEAR, X

LONGER = ("extremes", "qlinear", "scales")
"""Groups that `make check` compiles; `make test` imports them."""


@pytest.mark.parametrize(("group", "name"), [(g, n) for g, cases in GROUPS.items() for n in cases])
def test_import_is_onnxruntimes(group: str, name: str) -> None:
    case = GROUPS[group][name]
    model = case.model()
    compare(interpreter.run(tercet.import_model(model), case.feeds), onnxruntime(model, case.feeds))


@pytest.mark.slow
@pytest.mark.parametrize("group", [pytest.param(g, marks=[pytest.mark.check] * (g in LONGER)) for g in GROUPS])
def test_compiled_is_onnxruntimes(group: str, tmp_path: Path) -> None:
    model, feeds = bundle(GROUPS[group])
    check_compiled(model, feeds, onnxruntime(model, feeds), tmp_path)


@pytest.mark.parametrize(("dtype", "axis", "opset"), [(U8, -1, 13), (I8, 1, 13), (U8, 1, 12)])
def test_softmax_is_the_float_one_quantized(dtype: type, axis: int, opset: int) -> None:
    """onnxruntime looks exponentials up in a table of integers, so its result may be one step off."""
    constants = triples(dtype, x=(0.09, 3)) | {"ys": scale(1 / 256), "yz": np.array(np.iinfo(dtype).min, dtype)}
    softmax = ms("QLinearSoftmax", "x xs xz ys yz", axis=axis, opset=opset)
    case = Case(softmax, {"x": integers(dtype, 3, 5, 4)}, constants, {"y": dtype})
    model = case.model()
    (have,) = interpreter.run(tercet.import_model(model), case.feeds).values()
    x = (case.feeds["x"].astype(F32) - constants["xz"].astype(F32)) * constants["xs"]
    flat = x.reshape(3, -1) if opset < 13 else np.moveaxis(x, axis, -1)
    powers = np.exp(flat - flat.max(-1, keepdims=True), dtype=F32)
    real = powers / powers.sum(-1, keepdims=True)
    real = real.reshape(x.shape) if opset < 13 else np.moveaxis(real, -1, axis)
    want = np.clip(np.rint(real * 256) + float(constants["yz"]), np.iinfo(dtype).min, np.iinfo(dtype).max)
    np.testing.assert_array_equal(have, want.astype(dtype))
    assert np.abs(have.astype(int) - onnxruntime(model, case.feeds)["y"].astype(int)).max() <= 1


@pytest.mark.parametrize("name", ["matmul", "matmul_columns", "conv", "fused", "fused_plain", "shared"])
def test_symbolic_batch_has_a_scale_for_each_sample(name: str) -> None:
    case = DYNAMIC[name]
    model, (x,) = case.model(symbolic=True), case.feeds.values()
    x = x * np.array([1, 7], F32).reshape(2, *[1] * (x.ndim - 1))  # the scales differ
    program = tercet.import_model(model)
    assert program.batched
    samples = [onnxruntime(model, {"x": x[i : i + 1]}) for i in range(2)]
    one_by_one = {key: np.concatenate([s[key] for s in samples]) for key in samples[0]}
    compare(interpreter.run(program, {"x": x}), one_by_one)
    with pytest.raises(AssertionError):
        compare(onnxruntime(model, {"x": x}), one_by_one)
    compare(interpreter.run(tercet.import_model(model, batch=2), {"x": x}), onnxruntime(model, {"x": x}))


@pytest.mark.slow
def test_symbolic_batch_compiled(tmp_path: Path) -> None:
    model, _ = bundle({name: DYNAMIC[name] for name in ("matmul_columns", "conv")})
    for port in model.graph.input:
        port.type.tensor_type.shape.dim[0].dim_param = "N"
    feeds = {
        port.name: floats(3, *(d.dim_value for d in port.type.tensor_type.shape.dim[1:])) * F32(i + 1)
        for i, port in enumerate(model.graph.input)
    }
    samples = [onnxruntime(model, {key: a[i : i + 1] for key, a in feeds.items()}) for i in range(3)]
    right = {key: np.concatenate([s[key] for s in samples]) for key in samples[0]}
    check_compiled(model, feeds, right, tmp_path)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            Case(node("QuantizeLinear", "x s z", axis=1), {"x": X}, {"s": scale([1, 2, 0]), "z": zero(I8, [0] * 3)}),
            r"\(QuantizeLinear\): the scale is zero in channel 2",
        ),
        (
            Case(ms("QLinearSigmoid", "x xs - ys"), {"x": every(I8)}, {"xs": scale(0.1), "ys": scale(0)}),
            r"\(QLinearSigmoid\): the scale of the result is zero",
        ),
        (
            Case(
                node("QLinearMatMul", "x xs xz w ws wz ys yz"),
                {"x": integers(U8, 3, 4)},
                COLUMNS | triples(U8, x=(0.1, 3), y=(0, 0)),
            ),
            r"\(QLinearMatMul\): the scale of the result is zero",
        ),
        (
            Case(node("Quant", "x s z b"), {"x": X}, {"s": scale([[1], [0], [1]]), "z": scale(0), "b": scale(4)}),
            r"\(Quant\): the scale is zero in channel 1",
        ),
        (
            Case(node("DequantizeLinear", "q s", axis=1), {"q": IMAGE[I8]}, {"s": scale([1, np.inf, 1])}),
            "the scale is not finite in channel 1",
        ),
        (
            Case(
                ms("QLinearSigmoid", "x s z s"),
                {"x": every(I8)},
                {"s": scale(1), "z": zero(U8, 0)},
            ),
            "a zero point is uint8, its tensor int8",
        ),
        (Case(ms("QLinearAdd", "x s - x s"), {"x": every(I8)}, {"s": scale(1)}), "a required input is left out"),
        (Case(ms("QLinearConcat", "s z", axis=0), {"x": every(I8)}, {"s": scale(1), "z": zero(I8, 0)}), "is left out"),
        (
            Case(ms("QLinearAdd", "x s - x s - s - -  x"), {"x": every(I8)}, {"s": scale(1)}),
            "expected at most 8 inputs, got 10",
        ),
        (
            Case(ms("DynamicQuantizeLSTM", "x w"), {"x": X}, {"w": X}),
            "operator com.microsoft.DynamicQuantizeLSTM is not supported",
        ),
        (Case(ms("QAttention", "x w", num_heads=2), {"x": X}, {"w": X}), "com.microsoft.QAttention is not supported"),
    ],
)  # fmt: skip
def test_refused(case: Case, message: str) -> None:
    with pytest.raises(tercet.TercetError, match=message):
        tercet.import_model(case.model())


@pytest.mark.parametrize(
    ("with_zeros", "without"),
    [
        (ms("QLinearAdd", "a s z b t z u z"), ms("QLinearAdd", "a s - b t - u")),
        (ms("QLinearMul", "a s z b t z u z"), ms("QLinearMul", "a s - b t z u")),
        (ms("QLinearSigmoid", "a s z t z"), ms("QLinearSigmoid", "a s - t")),
        (ms("QLinearAveragePool", "a s z t z", **POOL), ms("QLinearAveragePool", "a s - t", **POOL)),
        (ms("QLinearConcat", "u z a s z b t z", axis=1), ms("QLinearConcat", "u z a s - b t", axis=1)),
    ],
)
def test_a_zero_point_that_is_left_out_is_zero(with_zeros: NodeProto, without: NodeProto) -> None:
    """onnxruntime 1.32 aborts on some of these, so it says nothing here."""
    feeds = {"a": IMAGE[I8], "b": integers(I8, 2, 3, 7, 6, seed=1)}
    constants = {"s": scale(0.3), "t": scale(0.17), "u": scale(0.7), "z": zero(I8, 0)}
    have, want = (
        interpreter.run(tercet.import_model(Case(one, feeds, constants, {"y": I8}).model()), feeds)
        for one in (without, with_zeros)
    )
    compare(have, want)
    assert len(np.unique(want["y"])) > 4


def test_no_case_saturates() -> None:
    """A result that is one value everywhere would say nothing."""
    for group, cases in GROUPS.items():
        for name, case in cases.items():
            if name not in ("zeros", "one", "all_zero"):
                assert any(len(np.unique(y)) > 4 for y in onnxruntime(case.model(), case.feeds).values()), (group, name)


def test_opsets_of_the_foreign_domain_do_not_matter() -> None:
    """The version of a domain says nothing about the standard operators that a QLinear operator stands for."""
    model = QLINEAR["pool"].model()
    model.opset_import.pop()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 7))
    want = onnxruntime(QLINEAR["pool"].model(), QLINEAR["pool"].feeds)
    compare(interpreter.run(tercet.import_model(model), QLINEAR["pool"].feeds), want)


def test_standard_onnx_needs_no_opset_where_no_node_is_of_it() -> None:
    """Files that hold onnxruntime's operators only import only its domain."""
    case = QLINEAR["pool"]
    model = case.model()
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert all(one.domain == "com.microsoft" for one in model.graph.node)
    want = onnxruntime(case.model(), case.feeds)
    compare(interpreter.run(tercet.import_model(model), case.feeds), want)
