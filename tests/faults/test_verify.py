"""verify of right artifacts passes, and its report can be written to any terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.runtime.report.verification_text import verification_text

from .faults import DATA


def test_ties_of_int4_weights_are_named(tmp_path: Path) -> None:
    """In a hundred samples there are sums within float32 rounding of a boundary."""
    model = DATA / "verify_ties_int4.onnx"
    made = tercet.compile(model, tmp_path / "m.tercet")
    found = tercet.verify(made.path, model, samples=100)
    assert found.ok, verification_text(found)
    assert {check.against for check in found.checks} == {"interpreter", "onnxruntime"}
    assert all(check.ties == check.samples > 0 for check in found.checks)
    assert any(tie.startswith("node 'output_0_QuantizeLinear' (QuantizeLinear) [0, ") for tie in found.ties)
    assert all("exact x / scale = " in tie for tie in found.ties)


@pytest.mark.parametrize("changed", ["weight_quantized", "bias_quantized", "output_0_zero_point"])
def test_neighbours_that_are_wrong_by_one_fail(changed: str, tmp_path: Path) -> None:
    """The artifact is of a model in which one number differs by one."""
    model = onnx.load(str(DATA / "verify_ties_int4.onnx"))
    tensor = next(t for t in model.graph.initializer if t.name == changed)
    array = numpy_helper.to_array(tensor).copy()
    flat = array.reshape(-1)
    flat[0] += np.asarray(1 if int(flat[0]) < 7 or array.dtype.itemsize > 1 else -1).astype(array.dtype)
    if tensor.data_type == TensorProto.INT4:
        tensor.CopyFrom(helper.make_tensor(changed, TensorProto.INT4, array.shape, array.astype(np.int8).reshape(-1)))
    else:
        tensor.CopyFrom(numpy_helper.from_array(array, changed))
    made = tercet.compile(model, tmp_path / "m.tercet")
    found = tercet.verify(made.path, DATA / "verify_ties_int4.onnx", samples=20)
    assert not found.ok


@pytest.mark.parametrize("name", ["mean_tie", "avgpool_tie_2x2", "avgpool_tie_8x8"])
def test_averages_that_onnxruntime_rounds_in_float32(name: str, tmp_path: Path) -> None:
    """Here the artifact and the import are exact, and onnxruntime is the one that a tie moves."""
    made = tercet.compile(DATA / f"{name}.onnx", tmp_path / "m.tercet", target="generic")
    found = tercet.verify(made.path, DATA / f"{name}.onnx", samples=20)
    assert found.ok, verification_text(found)
    ties = {check.against: (check.samples, check.ties) for check in found.checks}
    assert ties["interpreter"] == (0, 0)
    assert ties["onnxruntime"][0] == ties["onnxruntime"][1] > 0


def _named(path: Path, name: str) -> Path:
    """A convolution and a relu whose input, output, weights and nodes have a name in them."""
    weights = numpy_helper.from_array(np.ones((4, 2, 3, 3), np.float32), f"{name}w")
    nodes = [
        helper.make_node("Conv", [f"{name}x", f"{name}w"], [f"{name}c"], name=f"{name}conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", [f"{name}c"], [f"{name}y"], name=f"{name}relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "named",
        [helper.make_tensor_value_info(f"{name}x", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info(f"{name}y", TensorProto.FLOAT, [1, 4, 6, 6])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def _tercet(*arguments: str | Path, encoding: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "tercet", *map(str, arguments)], capture_output=True, timeout=300,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout


@pytest.mark.check
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_that_a_terminal_cannot_encode(encoding: str, tmp_path: Path) -> None:
    model, made = DATA / "n_uni.onnx", tmp_path / "m.tercet"
    image = tmp_path / "x.npy"
    np.save(image, np.zeros((1, 2, 6, 6), np.float32))
    said = [
        _tercet(*arguments, encoding=encoding)
        for arguments in (
            ("compile", model, "-o", made),
            ("inspect", made),
            ("inspect", model, "--after", "import"),
            ("run", made, "--input", image),
            ("verify", made, "--against", model, "--per-layer"),
            ("bench", made, "--repeats", "1", "--per-layer"),
        )
    ]
    assert b"\\u51fa\\u529b" in said[3]  # the output's name
    assert b"\\u51fa\\u529b" in said[4]
    assert (b"\\xe9ingang" if encoding == "ascii" else b"\xe9ingang") in said[1]
    summary = json.loads(_tercet("inspect", made, "--json", encoding=encoding))["summary"]
    assert "\u51fa\u529b" in summary["output"]


@pytest.mark.check
@pytest.mark.parametrize("name", ["\U0001f600", "\u202e\u0436", "a\x1b[2Jb\x07"], ids=["astral", "bidi", "control"])
def test_neighbours_with_other_names(name: str, tmp_path: Path) -> None:
    """Emoji, letters from right to left, and control characters that would clear the screen."""
    model, made = _named(tmp_path / "n.onnx", name), tmp_path / "n.tercet"
    _tercet("compile", model, "-o", made, encoding="ascii")
    for arguments in (("inspect", made), ("verify", made, "--against", model)):
        text = _tercet(*arguments, encoding="ascii").decode("ascii")
        assert "\\" in text
        assert all(c == "\n" or c >= " " for c in text)


def quantized_softmax(scale: float) -> onnx.ModelProto:
    """onnxruntime computes its QLinearSoftmax from a table of integers."""
    constants = {
        "s": np.float32(scale), "z": np.int8(0), "t": np.float32(0.01047861), "u": np.int8(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node(
            "QLinearSoftmax", ["q", "s", "z", "t", "u"], ["p"], domain="com.microsoft", axis=1, opset=13, name="soft"
        ),
        helper.make_node("DequantizeLinear", ["p", "t", "u"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])
    weights = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "softmax", [x], [y], weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_powers_of_integers_that_leave_their_type_are_not_the_artifacts_fault(tmp_path: Path) -> None:
    """onnxruntime computes them in float64 for some shapes, and then saturates where the product wraps."""
    constant = helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array(2, np.int32)))
    nodes = [constant, helper.make_node("Pow", ["x", "two"], ["y"])]
    ports = [helper.make_tensor_value_info(name, TensorProto.INT32, [1, 3, 9, 1]) for name in "xy"]
    graph = helper.make_graph(nodes, "power", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    made = tercet.compile(model, tmp_path / "m.tercet", target="generic")
    found = tercet.verify(made.path, model)
    assert found.ok and "Pow of integers are not exact" in verification_text(found)


def test_what_onnxruntime_approximates_is_not_held_against_the_artifact(tmp_path: Path) -> None:
    model = quantized_softmax(0.3)
    made = tercet.compile(model, tmp_path / "m.tercet", target="generic")
    found = tercet.verify(made.path, model, samples=500)
    assert found.ok, verification_text(found)
    (own,), (other,) = ([c for c in found.checks if c.against == name] for name in ("interpreter", "onnxruntime"))
    assert own.difference.ok and other.allowed and not other.difference.ok
    assert "QLinearSoftmax are not exact" in verification_text(found)
    wrong = tercet.verify(made.path, quantized_softmax(0.4), samples=500)
    assert not wrong.ok and not any(check.allowed for check in wrong.checks), verification_text(wrong)
