"""What verify says of expected results, of NaN, of models that cannot be imported, and of any kind of program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from quantized_nets import Net, deep

import tercet
from tercet.runtime.check.verify.result import Verification
from tercet.runtime.report.verification_text import verification_text

F32 = np.float32


class Case:
    """A model of ten class scores and its artifact, compiled once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model, self.artifact = folder, folder / "m.onnx", folder / "m.tercet"
        net = Net(8)
        weights = net.constant(net.rng.integers(-1, 2, (12, 10)).astype(F32))
        onnx.save(net.model(net.node("MatMul", net.quantized("x", 0.1, np.int8), weights), ["n", 12]), str(self.model))
        tercet.compile(self.model, self.artifact, target="generic")
        self.x = net.rng.standard_normal((50, 12)).astype(F32)
        self.y = tercet.run(self.artifact, self.x)
        (self.name,) = self.y

    def verify(self, *, model: Path | None = None, max_mismatch: float = 0.02, **arrays: np.ndarray) -> Verification:
        np.savez(self.folder / "s.npz", **{"x": self.x, **arrays})
        return tercet.verify(
            self.artifact, model or self.model, inputs=self.folder / "s.npz", max_mismatch=max_mismatch
        )  # fmt: skip


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("scores"))


# -- expected results -------------------------------------------------------------------------------------------------


def test_a_difference_of_the_export_is_not_the_artifacts(case: Case) -> None:
    expected = case.y[case.name].copy()
    expected[:5, 3] += F32(0.1)  # 5 of 500: 1 %
    found = case.verify(output=expected)
    text = verification_text(found)
    assert found.ok
    assert found.same
    assert "5 of 500 elements" in found.expected
    assert "a difference of the export, not of the artifact; 1 % is within the 2 % of --max-mismatch" in text
    assert "differ  expected results, onnxruntime" in text
    stricter = case.verify(output=expected, max_mismatch=0.005)
    assert stricter.same
    assert not stricter.ok
    assert "FAILED: expected results" in verification_text(stricter)
    assert "of the export" in stricter.expected


def test_a_difference_of_the_artifact_from_both_is_its_own(case: Case, tmp_path: Path) -> None:
    """Verified against another model, whose results are in the file."""
    other = onnx.load(str(case.model))
    weights = next(t for t in other.graph.initializer if list(t.dims) == [12, 10])
    array = onnx.numpy_helper.to_array(weights).copy()
    array[0, 0] += 1
    weights.CopyFrom(onnx.numpy_helper.from_array(array, weights.name))
    onnx.save(other, str(tmp_path / "other.onnx"))
    expected = case.y[case.name].copy()
    expected[:, 0] += np.rint(case.x[:, 0] / F32(0.1)) * F32(0.1)
    found = case.verify(model=tmp_path / "other.onnx", output=expected, max_mismatch=1.0)
    assert not found.ok
    assert not found.same
    assert "a difference of the artifact" in found.expected
    assert "gives what was expected" in found.expected


def test_expected_results_of_another_shape(case: Case) -> None:
    found = case.verify(output=np.zeros((50, 9), F32))
    assert found.same
    assert not found.ok
    assert "have another shape: expected [50, 9], got [50, 10]" in found.expected


def test_right_expected_results_are_said_to_be_right(case: Case) -> None:
    found = case.verify(output=case.y[case.name])
    assert found.ok
    assert found.expected == f"{case.name} is what was expected"
    assert found.to_json()["expected"] == found.expected


# -- NaN, imports that fail, what is said ----------------------------------------------------------------------------


def test_what_nan_and_infinities_become_is_said(case: Case) -> None:
    x = case.x.copy()
    x[0, 0], x[1, 1] = np.nan, np.inf
    np.savez(case.folder / "s.npz", x=x)
    found = tercet.verify(case.artifact, case.model, inputs=case.folder / "s.npz")
    (note,) = [note for note in found.notes if "NaN" in note]
    assert "inputs hold 1 NaN and 1 infinities" in note
    assert "a quantizer makes 0 of NaN" in note
    assert "max abs inf" not in verification_text(found)


def test_nan_on_one_side_only_fails_without_infinite_errors(case: Case) -> None:
    expected = case.y[case.name].copy()
    expected[0, 0], expected[0, 1] = np.nan, np.inf
    text = verification_text(case.verify(output=expected))
    assert "2 of them NaN or infinite on one side only" in text
    assert "max abs inf" not in text


def test_onnxruntime_alone_where_the_import_fails(case: Case, tmp_path: Path) -> None:
    model = onnx.load(str(case.model))
    graph = model.graph
    at = helper.make_node("Constant", [], ["at"], value=helper.make_tensor("", TensorProto.INT64, [], [0]))
    made, taken = (
        helper.make_node("SequenceConstruct", ["raw"], ["seq"]),
        helper.make_node("SequenceAt", ["seq", "at"], [case.name]),
    )
    graph.node[-1].output[0] = "raw"
    graph.node.extend([at, made, taken])
    onnx.save(model, str(tmp_path / "seq.onnx"))
    with pytest.raises(tercet.TercetError, match="Sequence"):
        tercet.import_model(tmp_path / "seq.onnx")
    found = case.verify(model=tmp_path / "seq.onnx")
    assert found.ok
    assert {check.against for check in found.checks} == {"onnxruntime"}
    assert found.meaning == "the model as onnxruntime runs it"
    assert any("cannot be imported" in note and "Sequence" in note for note in found.notes)


def test_the_verdict_of_a_lossy_artifact_has_its_distance_to_the_model(tmp_path: Path) -> None:
    net = Net(8)
    weights = [net.constant(net.rng.standard_normal(shape).astype(F32)) for shape in ((12, 16), (16, 16), (16, 10))]
    y = "x"
    for array in weights:
        y = net.node("Relu", net.node("MatMul", y, array))
    onnx.save(net.model(y, ["n", 12]), str(tmp_path / "f.onnx"))
    made = tercet.compile(tmp_path / "f.onnx", tmp_path / "l.tercet", target="generic", weights="ternary")
    found = tercet.verify(made.path, tmp_path / "f.onnx", samples=50)
    assert found.ok
    text = verification_text(found)
    assert "its own IR, which is the model after its lossy passes" in text
    assert " dB, the same top class in " in found.distance
    assert "distance to the model before its lossy passes: " in text


def test_top_1_agreement_is_told_where_samples_differ(case: Case) -> None:
    expected = case.y[case.name].copy()
    expected[0] = -expected[0]
    found = case.verify(output=expected)
    check = next(check for check in found.checks if check.against == "expected results")
    assert check.samples == 1
    assert check.top1 == pytest.approx(0.98)


# -- any program ------------------------------------------------------------------------------------------------------


def _odd() -> ModelProto:
    """Outputs that are an input, a constant and an empty tensor; a value with two results; one that is used twice."""
    net = Net(2)
    same = net.node("Identity", "x")
    fixed = net.node("Identity", net.constant(np.arange(6, dtype=F32).reshape(2, 3)))
    empty = net.node("Slice", "x", *(net.constant(np.array([v])) for v in (0, 0, 0)))
    left, *_ = split = [f"half{i}" for i in (0, 1)]
    net.nodes.append(helper.make_node("Split", ["x"], split, name="split", axis=1, num_outputs=2))
    twice = net.node("Add", net.node("Relu", left), left)
    return net.model([same, fixed, empty, *split, twice], [2, 4], opset=18)


@pytest.mark.parametrize("make", [_odd, deep])
def test_every_layer_of_any_program(make, tmp_path: Path) -> None:
    onnx.save(make(), str(tmp_path / "m.onnx"))
    made = tercet.compile(tmp_path / "m.onnx", tmp_path / "m.tercet", target="generic")
    found = tercet.verify(made.path, tmp_path / "m.onnx", per_layer=True)
    assert found.ok, verification_text(found)
    assert len(found.layers) == len(made.layers)
    with tercet.load(made.path) as loaded:
        rng = np.random.default_rng(0)
        inputs = {port.name: rng.standard_normal(port.shape).astype(port.dtype) for port in loaded.inputs}
        together = loaded.results(inputs)
        for i, results in enumerate(together):
            for have, want in zip(results, loaded.run_until(i, inputs), strict=True):
                np.testing.assert_array_equal(have, want)
