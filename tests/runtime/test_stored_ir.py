"""Every stage of an artifact's IR can be run, contents are stored once, and bisecting finds the pass at fault."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from quantized_nets import Net

import tercet
from tercet.api import opt, stage_labels
from tercet.backends.reference.interpreter import run
from tercet.ir.errors import ArtifactError
from tercet.ir.program import Program
from tercet.ir.tn.quant import ThresholdOp
from tercet.passes.thresholds import Thresholds
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.stored_ir import (
    WEIGHTS,
    StageWriter,
    ir_contents,
    read_stages,
    stage_programs,
    stages_file,
    stored_stages,
)

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
MODEL, SAMPLES = DIGITS / "digits_ternary.onnx", DIGITS / "digits_test.npz"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("stored") / "d.tercet"
    return Artifact.open(tercet.compile(MODEL, path, target="generic", engines="loops").path)


def test_every_stage_runs_and_computes_the_same(artifact: Artifact) -> None:
    stages = read_stages(artifact)
    assert [stage.label for stage in stages] == stage_labels() == [label for label, _ in stored_stages(artifact)]
    image = np.load(SAMPLES)["image"][:1]
    results = [run(program, {"image": image})["logits"] for program in stage_programs(artifact, stages)]
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-5, atol=1e-5)


def test_a_stage_that_changed_nothing_shares_its_text(artifact: Artifact) -> None:
    texts = stored_stages(artifact)
    for (_, before), (_, after), first, second in zip(
        texts, texts[1:], read_stages(artifact), read_stages(artifact)[1:], strict=False
    ):
        assert (before == after) == (first.file == second.file)
    assert len({text for _, text in texts}) == len([n for n in artifact.names if n.endswith(".mlir")]) < len(texts)


def test_contents_are_stored_once(artifact: Artifact) -> None:
    with np.load(io.BytesIO(artifact.read(WEIGHTS))) as arrays:
        contents = [(a.dtype.str, a.shape, a.tobytes()) for a in (arrays[name] for name in arrays.files)]
    assert len(contents) == len(set(contents)) and min(np.prod(shape) for _, shape, _ in contents) > 64


def test_opt_begins_after_a_pass_of_an_artifact(artifact: Artifact) -> None:
    texts = dict(stored_stages(artifact))
    assert opt(artifact.path, "thresholds", after="refine-ranges").text() == texts["10-thresholds"]
    assert opt(artifact.path, "prove-batch").text() == texts["01-prove-batch"]


def test_a_name_may_mean_other_arrays_in_other_stages(tmp_path: Path) -> None:
    """Names are free again once nothing uses them: conv.w is transposed, folded, and called conv.w again."""

    def program(array: np.ndarray) -> Program:
        made = Program.new("p", [])
        constant = made.constant("w", array)
        made.block.add_op(constant)
        made.finish([("y", constant.result, array.dtype)])
        return made

    arrays = [np.arange(100), np.arange(100)[::-1], np.arange(100)]
    writer = StageWriter()
    for i, values in enumerate(arrays):
        writer.add(f"{i:02d}-step", program(values))
    contents = ir_contents({"": writer})
    stages = json.loads(contents[stages_file("")])
    assert [stage["weights"] for stage in stages] == [{}, {"w": "w.1"}, {}]
    with np.load(io.BytesIO(contents[WEIGHTS])) as stored:
        for stage, values in zip(stages, arrays, strict=True):
            np.testing.assert_array_equal(stored[stage["weights"].get("w", "w")], values)


def test_before_a_lossy_pass_the_model_has_the_constants(tmp_path: Path) -> None:
    net = Net(0)
    first, second = (net.constant(net.rng.normal(size=shape).astype(np.float32)) for shape in ((12, 16), (16, 10)))
    model = tmp_path / "m.onnx"
    onnx.save(net.model(net.node("MatMul", net.node("Relu", net.node("MatMul", "x", first)), second), ["n", 12]), model)
    options = tercet.LossyOptions("ternary", ends=True)
    made = tercet.compile(model, tmp_path / "m.tercet", target="generic", engines="loops", weights=options)
    artifact = Artifact.open(made.path)
    stages = read_stages(artifact)
    assert [stage.label for stage in stages if not stage.complete] == stage_labels()[:4]
    with pytest.raises(ArtifactError, match="no constants of '00-import'"):
        stage_programs(artifact, [stages[0]])
    stage_programs(artifact, [stage for stage in stages if stage.complete])
    notes = tercet.verify(made.path, model, samples=2, bisect=True).notes
    assert "bisect: no pass changes what the interpreter computes" in notes


def test_bisect_finds_the_pass_that_is_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Thresholds.apply

    def faulty(self: Thresholds, program: Program) -> bool:
        """The channels of the second layer have each other's thresholds."""
        changed = sound(self, program)
        second = [op for op in program.ops if isinstance(op, ThresholdOp)][1]
        name = second.thresholds.owner.get("value")  # type: ignore[union-attr]
        values = program.weights[name]
        del program.weights[name]
        program.weights[name] = np.roll(values, 1, axis=0)
        return changed

    monkeypatch.setattr(Thresholds, "apply", faulty)
    made = tercet.compile(MODEL, tmp_path / "m.tercet", target="generic", engines="loops")
    found = tercet.verify(made.path, MODEL, inputs=SAMPLES, samples=4, bisect=True)
    assert not found.same
    (note,) = [note for note in found.notes if note.startswith("bisect")]
    assert note.startswith("bisect: the first change is 10-thresholds: logits: max abs")


def test_bisect_of_a_sound_artifact(artifact: Artifact) -> None:
    found = tercet.verify(artifact.path, MODEL, samples=4, bisect=True)
    assert found.ok and "bisect: no pass changes what the interpreter computes" in found.notes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"00-import.mlir", b"00-export.mlir", "texts that are missing"),
        (b'"00-import"', b'"00_import"', "expected a pass such as"),
        (b'"complete": true', b'"complete": 1', "expected true or false"),
        (b'"weights": {}', b'"weights": {"conv1.weight": 3}', "expected a string"),
        (b"[", b"{", "not valid JSON"),
    ],
)
def test_stages_that_are_damaged(old: bytes, new: bytes, message: str, artifact: Artifact, tmp_path: Path) -> None:
    contents = {name: artifact.read(name) for name in artifact.names}
    assert old in contents[stages_file("")]
    contents[stages_file("")] = contents[stages_file("")].replace(old, new)
    Artifact.write(tmp_path / "m.tercet", contents, artifact.manifest)
    with pytest.raises(ArtifactError, match=message):
        tercet.inspect(tmp_path / "m.tercet")
