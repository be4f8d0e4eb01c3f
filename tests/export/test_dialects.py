"""QCDQ and QONNX: quantizers as those dialects write them, and the same results."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs.generate import network
from onnx import ModelProto, helper, numpy_helper
from standard_qonnx import standard_model

import tercet
from tercet.backends.onnx.export import DIALECTS
from tercet.backends.onnx.qonnx import _bits, _needed
from tercet.backends.reference import interpreter
from tercet.ir.errors import InputError
from tercet.runtime.check.ort import open_session

from .test_export import equal

RNG = np.random.default_rng(3)


def kinds(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def agree(source: ModelProto, dialect: str, samples: int = 3) -> ModelProto:
    """The export, whose import and whose run in onnxruntime give what the source does."""
    model = tercet.export(source, dialect=dialect)  # type: ignore[arg-type]
    names = {name for node in model.graph.node for name in node.input} | {port.name for port in model.graph.output}
    assert all(tensor.name in names for tensor in model.graph.initializer)
    before = tercet.import_model(source)
    after = before if kinds(model)["Mod"] else tercet.import_model(model)  # how wrapping casts are written
    inputs = {
        port.name: np.stack([_random(port.shape, port.dtype) for _ in range(samples)])[:, 0]
        if before.batched else _random(port.shape, port.dtype) for port in before.inputs
    }  # fmt: skip
    want, have = interpreter.run(before, inputs), interpreter.run(after, inputs)
    for name in want:
        equal(have[name], want[name])
    standard = standard_model(model) if dialect == "qonnx" else model
    for name, array in open_session(standard, optimize=False).run(inputs).items():
        equal(array, want[name])
    return model


def _random(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return (3 * RNG.standard_normal(shape)).astype(dtype)
    return RNG.integers(-3 if dtype.kind == "i" else 0, 4, shape).astype(dtype)


@pytest.mark.parametrize("dialect", ["qcdq", "qonnx"])
@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed: int, dialect: str) -> None:
    agree(network(2031, seed).model, dialect)


def quantized(bits: int, signed: bool, weights: np.ndarray, scale: np.ndarray) -> ModelProto:
    """Quant, Conv with quantized weights, batch norm, Quant: QONNX."""
    outputs, domain = weights.shape[0], "qonnx.custom_op.general"
    tensors = {
        "s": np.float32(0.25), "z": np.float32(0), "b": np.float32(bits), "w": weights.astype(np.float32) * scale,
        "ws": scale.astype(np.float32), "wb": np.float32(4), "g": RNG.uniform(0.5, 2, outputs).astype(np.float32),
        "h": RNG.standard_normal(outputs).astype(np.float32), "m": np.zeros(outputs, np.float32),
        "v": np.ones(outputs, np.float32),
    }  # fmt: skip
    given = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND", "domain": domain}
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b"], ["q"], name="q1", **given),
        helper.make_node("Quant", ["w", "ws", "z", "wb"], ["wq"], name="wq", **{**given, "signed": 1}),
        helper.make_node("Conv", ["q", "wq"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "g", "h", "m", "v"], ["n"], name="norm"),
        helper.make_node("Quant", ["n", "s", "z", "b"], ["y"], name="q2", **given),
    ]
    port = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "net", [port("x", 1, ["batch", weights.shape[1], 6, 6])], [port("y", 1, ["batch", outputs, 6, 6])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


WEIGHTS = {
    "ternary": RNG.integers(-1, 2, (5, 3, 3, 3)), "int4": RNG.integers(-7, 8, (5, 3, 3, 3)),
    "binary": RNG.choice([-1, 1], (5, 3, 3, 3)), "zero": np.zeros((5, 3, 3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize(("bits", "signed"), [(2, True), (4, False), (8, True), (3, False)])
def test_quantizers(kind: str, bits: int, signed: bool) -> None:
    """Each keeps its place: as many quantizers as before, weights of few bits, nothing rounded by arithmetic."""
    scale = RNG.uniform(0.1, 0.3, (5, 1, 1, 1))
    source = quantized(bits, signed, WEIGHTS[kind], scale)
    qcdq, qonnx = agree(source, "qcdq"), agree(source, "qonnx")
    found = kinds(qcdq)
    assert found["QuantizeLinear"] == 2 and found["DequantizeLinear"] >= 2 and not found["Round"]
    weights = [t for t in qcdq.graph.initializer if list(t.dims) == [5, 3, 3, 3]]
    assert [t.data_type for t in weights] == [onnx.TensorProto.INT4] or kind == "zero"
    assert kinds(qonnx)["Quant"] + kinds(qonnx)["BipolarQuant"] >= 2 and not kinds(qonnx)["Round"]


def test_thresholds_stay_thresholds() -> None:
    table = np.sort(RNG.standard_normal((4, 3)).astype(np.float32))
    domain = "qonnx.custom_op.general"
    node = helper.make_node("MultiThreshold", ["x", "t"], ["y"], name="steps", domain=domain, out_bias=-1.0)
    port = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "net", [port("x", 1, ["batch", 4, 5, 5])], [port("y", 1, ["batch", 4, 5, 5])],
        [numpy_helper.from_array(table, "t")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(domain, 1)]
    made = agree(helper.make_model(graph, opset_imports=opsets, ir_version=8), "qonnx")
    (found,) = (n for n in made.graph.node if n.op_type == "MultiThreshold")
    assert {a.name: helper.get_attribute_value(a) for a in found.attribute}["out_bias"] == -1.0
    agree(helper.make_model(graph, opset_imports=opsets, ir_version=8), "qcdq")


def test_widths() -> None:
    """A Quant has exactly the range, or none is found; the needed one holds it."""
    for lo, hi in product(range(-9, 2), range(18)):
        least, most = _needed(lo, hi)
        assert least <= lo and hi <= most and _bits(least, most) is not None
        if (found := _bits(lo, hi)) is not None:
            width, signed, narrow = found
            most = 2 ** (width - signed) - 1
            assert (lo, hi) == ((-most - 1 + narrow, most) if signed else (0, most - narrow))


def test_unknown_dialects(tmp_path: Path) -> None:
    source = quantized(4, True, WEIGHTS["ternary"], np.ones((5, 1, 1, 1)))
    with pytest.raises(InputError, match="unknown dialect 'onnx'"):
        tercet.export(source, tmp_path / "x.onnx", dialect="onnx")  # type: ignore[arg-type]
    assert not (tmp_path / "x.onnx").exists() and list(DIALECTS) == ["standard", "qcdq", "qonnx"]
