"""onnxruntime as a reference gives exact sums of 8-bit products on every CPU."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tercet.runtime.check import ort
from tercet.runtime.check.ort import open_session
from tercet.runtime.check.ort_exact import with_unsigned_weights

RNG = np.random.default_rng(3)
DEPTH = 64
X = np.full((2, DEPTH), 255, np.uint8)
W = RNG.choice(np.array([-128, 127], np.int8), size=(DEPTH, 8))
SCALE, LARGE = np.float32(0.1), np.float32(500)
ZERO = RNG.integers(-2, 3, 8).astype(np.int8)


def model(
    operator: str, inputs: str, domain: str = "", kind: int = TensorProto.INT32, **constants: object
) -> ModelProto:
    arrays = {"w": W, **{name: np.asarray(value) for name, value in constants.items()}}
    graph = helper.make_graph(
        [helper.make_node(operator, inputs.split(), ["y"], domain=domain)],
        "products",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [2, DEPTH])],
        [helper.make_tensor_value_info("y", kind, [2, 8])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


CASES = {
    "no zero point": (model("MatMulInteger", "x w"), W.astype(int)),
    "a zero point": (model("MatMulInteger", "x w xz wz", xz=np.uint8(0), wz=np.int8(5)), W.astype(int) - 5),
    "one for each column": (model("MatMulInteger", "x w xz wz", xz=np.uint8(0), wz=ZERO), W.astype(int) - ZERO),
    "QLinearMatMul": (
        model(
            "QLinearMatMul", "x s xz w s wz ys yz", kind=TensorProto.UINT8, s=SCALE, xz=np.uint8(0), wz=np.int8(1),
            ys=LARGE, yz=np.uint8(128),
        ),
        W.astype(int) - 1,
    ),
    "QGemm": (
        model(
            "QGemm", "x s xz w s wz b ys yz", "com.microsoft", TensorProto.UINT8, s=SCALE, xz=np.uint8(0),
            wz=np.int8(0), b=np.zeros(8, np.int32), ys=LARGE, yz=np.uint8(128),
        ),
        W.astype(int),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_results_are_exact(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU that saturates, and with what such a CPU gets on one that does not."""
    monkeypatch.setattr(ort, "saturates", lambda: True)
    source, weights = CASES[name]
    want = X.astype(int) @ weights
    if source.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8:
        want = np.clip(np.rint(want * float(SCALE) ** 2 / float(LARGE)) + 128, 0, 255)
    np.testing.assert_array_equal(open_session(source, optimize=False).run({"x": X})["y"], want)


@pytest.mark.parametrize("name", CASES)
def test_signed_weights_are_replaced_in_a_copy(name: str) -> None:
    source, _ = CASES[name]
    before = source.SerializeToString()
    made = with_unsigned_weights(source)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    (node,) = made.graph.node
    (weights,) = [tensors[name] for name in node.input if name.startswith("w.")]
    assert weights.dtype == np.uint8 and np.array_equal(weights.astype(int), W.astype(int) + 128)
    assert source.SerializeToString() == before


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_a_convolution_of_dynamically_quantized_or_signed_inputs(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its activations are unsigned, though their zero point is computed; signed ones stay with signed weights."""
    monkeypatch.setattr(ort, "saturates", lambda: True)
    if kind == np.uint8:
        quantize = helper.make_node("DynamicQuantizeLinear", ["f"], ["q", "s", "z"])
    else:
        quantize = helper.make_node("QuantizeLinear", ["f", "scale", "z"], ["q"])
    arrays = {"w": W.T.reshape(8, DEPTH, 1, 1), "scale": np.float32(1), "z": np.int8(3)}
    graph = helper.make_graph(
        [quantize, helper.make_node("ConvInteger", ["q", "w", "z"], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, [1, DEPTH, 1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 8, 1, 2])],
        [numpy_helper.from_array(np.asarray(arrays[name]), name) for name in arrays if kind == np.int8 or name == "w"],
    )
    source = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    f = np.full((1, DEPTH, 1, 2), 255 if kind == np.uint8 else 100, np.float32)
    want = np.einsum("oi,nihw->nohw", W.T.astype(int), f.astype(int))
    np.testing.assert_array_equal(open_session(source, optimize=False).run({"f": f})["y"], want)
    assert (with_unsigned_weights(source) is source) == (kind == np.int8)


def test_other_models_stay_as_they_are() -> None:
    unsigned = model("MatMulInteger", "x u", u=W.view(np.uint8))
    assert with_unsigned_weights(unsigned) is unsigned
    named = model("MatMulInteger", "x w xz wz", xz=np.uint8(0))
    named.graph.input.append(helper.make_tensor_value_info("wz", TensorProto.INT8, []))
    assert with_unsigned_weights(named) is named
