"""`bench` against TVM: a model as TVM itself imports it, not tuned and tuned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tvm.relax", reason="TVM is not installed (pip install 'tercet[tvm]')")

from onnx import TensorProto, helper, numpy_helper, save

import tercet
from tercet.ir.errors import InputError

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"


def test_what_runs_is_said_and_agrees() -> None:
    report = tercet.bench(DIGITS, against=["onnxruntime", "tvm"], repeats=2, samples=3)
    assert [(peer.name, peer.form) for peer in report.peers] == [
        ("onnxruntime", "the model as it is"), ("tvm", "the model as it is, not tuned"),
    ]  # fmt: skip
    assert all(peer.agreement.startswith("same outputs") for peer in report.peers) and not report.notes


def test_a_model_that_only_exports_give_it(models: Path) -> None:
    (peer,) = tercet.bench(models / "kws_w3a3.qonnx.onnx", against=["tvm"], repeats=1).peers
    assert peer.form.startswith("its ") and peer.agreement.startswith("same outputs")


def test_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 6]) for name in "xy")
    nodes = [helper.make_node("Neg", ["x"], ["z"]), helper.make_node("Abs", ["z"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y])
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path / "cache"))
    report = tercet.bench(path, against=["tvm", "tvm-tuned"], repeats=1, tune=1)
    assert [peer.form for peer in report.peers] == [
        "the model as it is, not tuned", "the model as it is, tuned, 1 candidates a function",
    ]  # fmt: skip
    assert len(list((tmp_path / "cache" / "tvm").iterdir())) == 1


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Of a batch of one in the file."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 4, 4]) for name in "xy")
    nodes = [helper.make_node("Relu", ["x"], ["z"]), helper.make_node("Abs", ["z"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y])
    path = tmp_path / "layer.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_several_samples_of_a_model_for_one(layer: Path) -> None:
    (peer,) = tercet.bench(layer, against=["tvm", "tvm"], repeats=1, samples=3).peers
    assert peer.agreement == "same outputs"


def test_a_source_that_does_not_fit(layer: Path, tmp_path: Path) -> None:
    tercet.compile(layer, tmp_path / "layer.tercet")
    report = tercet.bench(tmp_path / "layer.tercet", source=DIGITS, against=["tvm"], repeats=1)
    assert report.notes[-1] == (
        "no peers: the source's input 'image' has the shape [?, 1, 8, 8], the artifact's 'x' [1, 2, 4, 4]"
    )
    with pytest.raises(InputError, match="does not hold its source model, which tvm and tvm-tuned would run"):
        tercet.bench(tmp_path / "layer.tercet", against=["tvm", "tvm-tuned"], repeats=1)


def test_what_only_its_module_does_not_take_is_said_without_its_words(
    layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("Check failed: ErrorContext(fn=main)")

    monkeypatch.setattr("tercet.runtime.check.tvm_session.call_with_arrays", fails)
    report = tercet.bench(layer, against=["tvm"], repeats=1, samples=3)
    what = "the module that TVM makes of the model does not take these inputs"
    assert report.notes[-1] == f"tvm left out: it fails on a batch of 3: {what}"


def test_what_tvm_does_not_build_is_left_out(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bytes:
        raise RuntimeError("a stack of its own\nCheck failed: that")

    monkeypatch.setattr("tercet.backends.tvm.build.library_of", fails)
    report = tercet.bench(layer, against=["tvm"], repeats=1)
    assert report.notes[-1] == "tvm left out: TVM does not build it: Check failed: that"


def test_a_model_it_does_not_import_is_left_out(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.INT8, [1, 2, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 3, 2, 2])
    weights = numpy_helper.from_array(np.ones((3, 2, 3, 3), np.int8), "w")
    graph = helper.make_graph([helper.make_node("ConvInteger", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    path = tmp_path / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    report = tercet.bench(path, against=["tvm"], repeats=1)
    assert not report.peers and report.notes[-1].startswith("tvm left out: TVM does not import it: ")
