"""QONNX models in standard operators, run by onnxruntime, compute what their import does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper
from standard_qonnx import standard_model

import tercet
from tercet.backends.reference import interpreter
from tercet.ir.errors import UnsupportedError
from tercet.runtime.check.ort import custom_operators, open_session

SHARED = {
    "cnv_w2a2.onnx": "cnv_w2a2.io.npz",
    "cnv_w1a1.onnx": "cnv_w1a1.io.npz",
    "kws_w3a3.qonnx.onnx": "kws_w3a3.io.npz",
}


def same(model: ModelProto, x: np.ndarray, *, exact: bool = True) -> ModelProto:
    """Checks the standard form of a model against the interpreter, with and without onnxruntime's optimisations."""
    standard = standard_model(model)
    onnx.checker.check_model(standard)
    assert not custom_operators(standard)
    want = interpreter.run(tercet.import_model(model), {"x": x})["y"]
    for optimize in (False, True):
        have = open_session(standard, optimize=optimize).run({"x": x})["y"]
        assert np.array_equal(have, want) if exact else np.allclose(have, want, rtol=1e-6, atol=1e-6)
    return standard


def thresholds_model(
    thresholds: np.ndarray, *, scale: float = 1.0, bias: float = 0.0, whole: bool = True
) -> ModelProto:
    """MultiThreshold on x [1, C, 4, 4], behind a MatMul-free integer producer (another MultiThreshold) when `whole`."""
    channels = len(thresholds)
    nodes, name = [], "x"
    initializers = [numpy_helper.from_array(thresholds.astype(np.float32), "T")]
    if whole:
        steps = np.arange(-8, 9, dtype=np.float32)[None]
        initializers.append(numpy_helper.from_array(steps, "S"))
        nodes.append(_threshold("x", "S", "i", 1.0, -9.0))
        name = "i"
    nodes.append(_threshold(name, "T", "y", scale, bias))
    graph = helper.make_graph(
        nodes,
        "thresholds",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, 4, 4])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _threshold(x: str, table: str, y: str, scale: float, bias: float) -> onnx.NodeProto:
    return helper.make_node(
        "MultiThreshold", [x, table], [y], name=y, domain="qonnx.custom_op.general", out_scale=scale, out_bias=bias
    )


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    """Sorted thresholds [channels, steps] on a grid of halves, often evenly spaced."""
    channels, steps = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    if draw(st.booleans()):
        first = np.array(draw(st.lists(st.integers(-12, 12), min_size=channels, max_size=channels)))
        gap = np.array(draw(st.lists(st.integers(0, 6), min_size=channels, max_size=channels)))
        return (first[:, None] + gap[:, None] * np.arange(steps)) / 2
    flat = draw(st.lists(st.integers(-16, 16), min_size=channels * steps, max_size=channels * steps))
    return np.sort(np.array(flat).reshape(channels, steps) / 2, axis=1)


@settings(max_examples=max(10, settings().max_examples // 5))
@given(tables(), st.sampled_from([1.0, 2.0, -1.0, 0.25]), st.sampled_from([0.0, -1.0, 0.5]), st.booleans())
def test_thresholds(table: np.ndarray, scale: float, bias: float, whole: bool) -> None:
    x = np.arange(len(table) * 16, dtype=np.float32).reshape(1, len(table), 4, 4) % 19 / 2 - 4.5
    x[0, :, 0, 0] = table[:, 0]  # exactly on a threshold, and just below it
    x[0, :, 0, 1] = np.nextafter(table[:, 0].astype(np.float32), np.float32(-np.inf))
    same(thresholds_model(table, scale=scale, bias=bias, whole=whole), x)


def quant_model(kind: str, *constants: float, constant_input: bool = False, **attributes: Any) -> ModelProto:
    """y = kind(x, constants...), x [1, 8]; or y = x + kind(constant)."""
    values = np.linspace(-3.3, 3.3, 8, dtype=np.float32).reshape(1, 8)
    initializers = [numpy_helper.from_array(np.array(c, np.float32), f"c{i}") for i, c in enumerate(constants)]
    initializers.append(numpy_helper.from_array(values, "k"))
    source, result = ("k", "q") if constant_input else ("x", "y")
    names = [source, *(f"c{i}" for i in range(len(constants)))]
    nodes = [helper.make_node(kind, names, [result], domain="qonnx.custom_op.general", **attributes)]
    nodes += [helper.make_node("Add", ["x", "q"], ["y"])] if constant_input else []
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy"]
    graph = helper.make_graph(nodes, "quant", ports[:1], ports[1:], initializers)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("kind", "constants", "attributes"),
    [
        ("Quant", (0.5, 0.0, 3.0), {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}),
        ("Quant", (0.3, 0.0, 2.0), {"signed": 1, "narrow": 1}),
        ("Quant", (0.25, 2.0, 4.0), {"signed": 0, "narrow": 0, "rounding_mode": "FLOOR"}),
        ("Quant", (0.5, 0.0, 3.0), {"signed": 1, "rounding_mode": "CEIL"}),
        ("Quant", (0.5, 0.0, 1.0), {"signed": 1}),
        ("BipolarQuant", (0.75,), {}),
        ("Trunc", (0.125, 0.0, 8.0, 4.0), {"rounding_mode": "FLOOR"}),
    ],
)
def test_quantizers(kind: str, constants: tuple[float, ...], attributes: dict, constant: bool) -> None:
    x = np.linspace(-2, 2, 8, dtype=np.float32).reshape(1, 8)
    same(quant_model(kind, *constants, constant_input=constant, **attributes), x, exact=False)


def test_what_has_no_form_is_named() -> None:
    with pytest.raises(UnsupportedError, match="rounding_mode UP has no standard operator"):
        standard_model(quant_model("Quant", 0.5, 0.0, 3.0, rounding_mode="UP"))


@pytest.mark.parametrize("name", SHARED)
def test_shared_models_give_the_shipped_outputs(name: str, models) -> None:
    standard, arrays = standard_model(models / name), np.load(models / SHARED[name])
    session = open_session(standard)
    shape = [d.dim_value for d in standard.graph.input[0].type.tensor_type.shape.dim]
    for x, want in zip(arrays["input"][:30], arrays["output"][:30], strict=True):
        (have,) = session.run({session.inputs[0]: x.reshape(shape)}).values()
        assert np.allclose(have.reshape(-1), want.reshape(-1), rtol=0, atol=1e-5 * np.abs(want).max())
