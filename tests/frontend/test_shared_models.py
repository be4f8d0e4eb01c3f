"""The shared trained models, imported and interpreted, against their expected outputs or onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tercet.backends.reference.interpreter import run
from tercet.frontend.onnx import import_model

from .helpers import assert_close, floats, onnxruntime
from .test_qonnx import quant


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnv_w2a2", "cnv_w1a1"])
def test_cnv_logits_are_exact(models: Path, name: str) -> None:
    data = np.load(models / f"{name}.io.npz")
    program = import_model(models / f"{name}.onnx")
    outputs = [run(program, {"n": x[None]})["logits"][0] for x in data["input"]]
    np.testing.assert_array_equal(np.stack(outputs), data["output"])


def test_keyword_spotting(models: Path) -> None:
    data = np.load(models / "kws_w3a3.io.npz")
    program = import_model(models / "kws_w3a3.qonnx.onnx")
    rows = data["input"].reshape(-1, 1, 1, 10, 49)
    (name,) = (port.name for port in program.inputs)
    outputs = np.stack([next(iter(run(program, {name: x}).values()))[0] for x in rows])
    assert_close(outputs, data["output"])
    assert round(float((outputs.argmax(1) == data["label"]).mean()), 3) == 0.823


@pytest.mark.parametrize(
    "name", ["alibaba_model_ic", "alibaba_model_kws", "alibaba_model_vww", "espcn_subpixel/float_model"]
)
def test_float_models(models: Path, name: str) -> None:
    path = models / f"{name}.onnx"
    program = import_model(path)
    (port,) = program.inputs
    x = floats(3 if program.batched else 1, *port.shape[1:])
    have = run(program, {port.name: x})
    for key, want in onnxruntime(str(path), {port.name: x}).items():
        assert_close(have[key], want)


def test_quantized_super_resolution(models: Path) -> None:
    """onnxruntime runs the same graph with every Quant replaced: weights by their values, activations by Div, Round,
    Clip and Mul."""
    source = onnx.load(models / "espcn_subpixel" / "quant_model.onnx")
    program = import_model(source)
    (port,) = program.inputs
    x = np.random.default_rng(0).random(port.shape, np.float32)
    have = run(program, {port.name: x})
    (want,) = onnxruntime(without_quant(source), {port.name: x}).values()
    (y,) = have.values()
    # A sum that falls on a rounding boundary may go either way; such a step is 1 of many in few pixels.
    differs = np.abs(y - want) > 1e-5 * np.abs(want).max()
    assert differs.mean() < 1e-4


def without_quant(source: onnx.ModelProto) -> onnx.ModelProto:
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in source.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for old in source.graph.node:
        if old.op_type != "Quant":
            nodes.append(old)
            continue
        x, s, zp, bits = old.input
        y = old.output[0]
        attributes = {a.name: a.i for a in old.attribute if a.type == onnx.AttributeProto.INT}
        width, signed, narrow = int(arrays[bits]), attributes["signed"], attributes["narrow"]
        if x in arrays:
            arrays[y] = quant(arrays[x], arrays[s], arrays[zp], width, signed, narrow)
            continue
        assert not arrays[zp].any()
        lo, hi = (-(2 ** (width - 1)) + narrow, 2 ** (width - 1) - 1) if signed else (0, 2**width - 1 - narrow)
        arrays[f"{y}.lo"], arrays[f"{y}.hi"] = np.array(lo, np.float32), np.array(hi, np.float32)
        steps = (("Div", [x, s]), ("Round", [""]), ("Clip", ["", f"{y}.lo", f"{y}.hi"]), ("Mul", ["", s]))
        for i, (op_type, inputs) in enumerate(steps):
            inputs = [name or f"{y}.{i - 1}" for name in inputs]
            nodes.append(onnx.helper.make_node(op_type, inputs, [y if i == 3 else f"{y}.{i}"]))
    ports = [i for i in source.graph.input if i.name not in arrays]
    initializers = [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()]
    graph = onnx.helper.make_graph(nodes, "plain", ports, source.graph.output, initializers)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=6)
