"""Wrong inputs: a plain message with what to do, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tercet import api
from tercet.ir.errors import InputError

from .conftest import Files
from .models import WEIGHTS, little_model, save_model


def refused(done, *texts: str) -> None:
    """The command was refused with these words, and said nothing else."""
    assert done.code == 2, done
    assert done.err.startswith("tercet: ") or "\ntercet: " in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    for text in texts:
        assert text in done.err


def altered(artifact: Path, copy: Path, **target: object) -> Path:
    """The artifact with other fields in its manifest's target."""
    with zipfile.ZipFile(artifact) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "manifest.json":
                manifest = json.loads(data)
                manifest["targets"][0] |= target
                data = json.dumps(manifest).encode()
            new.writestr(name, data)
    return copy


# -- models -----------------------------------------------------------------------------------------------------------


def test_no_such_model(tercet_cli, tmp_path: Path) -> None:
    refused(tercet_cli("compile", tmp_path / "none.onnx"), "none.onnx: cannot read the model: No such file")
    refused(tercet_cli("inspect", tmp_path / "none.onnx"), "none.onnx: cannot read the model")
    refused(tercet_cli("bench", tmp_path / "none.onnx"), "none.onnx: cannot read the model")


def test_not_an_onnx_file(tercet_cli, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("I am a poem about a network.\n")
    refused(tercet_cli("compile", tmp_path / "text.onnx", "-o", tmp_path / "a.tercet"), "not an ONNX model")
    assert not (tmp_path / "a.tercet").exists()


@pytest.mark.parametrize("arguments", [("verify", "--against"), ("bench", "--repeats", "1", "--source")])
def test_an_artifact_is_compared_with_what_is_no_model(tercet_cli, files: Files, arguments, tmp_path: Path) -> None:
    verb, *options = arguments
    (tmp_path / "text.onnx").write_text("I am a poem about a network.\n")
    refused(tercet_cli(verb, files.artifact, *options, tmp_path / "none.onnx"), "none.onnx: cannot read the model")
    refused(tercet_cli(verb, files.artifact, *options, tmp_path / "text.onnx"), "text.onnx: not an ONNX model")
    refused(tercet_cli(verb, files.artifact, *options, tmp_path), str(tmp_path), "model")


def test_unsupported_operator_is_named_with_its_node(tercet_cli, tmp_path: Path) -> None:
    path = save_model(tmp_path / "m.onnx", WEIGHTS, quantizer="Det")
    refused(tercet_cli("compile", path), "quantizer", "Det")


def test_unknown_names(files: Files, tercet_cli, tmp_path: Path) -> None:
    out = tmp_path / "a.tercet"
    refused(
        tercet_cli("compile", files.model, "-o", out, "--target", "pdp11"),
        "unknown target 'pdp11'",
        "hint: one of: native",
    )
    refused(tercet_cli("compile", files.model, "-o", out, "--engine", "steam"), "unknown engine 'steam'", "loops")
    refused(
        tercet_cli("compile", files.model, "-o", out, "--engine", "adder_graph", "--optimize", "size"),
        "engine 'adder_graph' puts weights into code", "hint: optimize for speed",
    )  # fmt: skip
    refused(
        tercet_cli("compile", files.model, "-o", out, "--print-ir-after", "lunch"),
        "there is no pass 'lunch'", "passes: 00-import",
    )  # fmt: skip
    refused(tercet_cli("inspect", files.artifact, "--after", "lunch"), "there is no pass 'lunch'", "00-import")
    refused(tercet_cli("inspect", files.artifact, "--diff", "99"), "there is no pass '99'")
    refused(
        tercet_cli("inspect", files.artifact, "--op", "conv9"),
        "no operation comes from a step or node 'conv9'",
        "Conv:conv",
    )
    done = tercet_cli("bench", files.artifact, "--against", "abacus")
    refused(done, "unknown peer 'abacus'", "onnxruntime, tvm, tvm-tuned, none")
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--html", "x.html"), "--html does nothing without --repetition"),
        (("--budget", "0"), "--budget does nothing without --repetition"),
        (("--bench", "b.json"), "--bench does nothing without --repetition"),
        (("--op", "conv", "--why", "conv"), "--why and --op are not shown together"),
        (("--diff", "1", "--after", "1"), "--diff and --after are not shown together"),
        (("--repetition", "--why", "conv"), "--repetition and --why are not shown together"),
        (("--after", "1", "--json"), "--after is not shown as JSON"),
        (("--op", "conv", "--after", "1", "--json"), "--op is not shown as JSON"),
        (("--after", "²"), "there is no pass '²'"),
    ],
)
def test_questions_that_are_not_answered_are_refused(options, message: str, files: Files, tercet_cli) -> None:
    refused(tercet_cli("inspect", files.artifact, *options), message, "hint: ")


@pytest.mark.parametrize("sizes", [("--batch", "3"), ("--shape", "x=1,1,6,6")])
def test_sizes_are_for_models(sizes: tuple[str, str], files: Files, tercet_cli, tmp_path: Path) -> None:
    for command in (("opt",), ("export", "--onnx", tmp_path / "m.onnx"), ("inspect",)):
        refused(tercet_cli(*command, files.artifact, *sizes), "hint: leave", "or give the model")
    assert not list(tmp_path.iterdir())
    choices: dict[str, Any] = {"batch": 3} if "--batch" in sizes else {"shapes": {"x": [3]}}
    program = api.import_model(files.model)
    for function in (api.export, api.opt, api.compile):
        with pytest.raises(InputError, match="a batch and shapes are for models"):
            function(program, **choices)


@pytest.mark.parametrize("name", ["foo.bin", "foo", "model.onnx"])
def test_an_artifact_has_the_name_of_one(name: str, files: Files, tercet_cli, tmp_path: Path) -> None:
    hint = f"hint: write {Path(name).stem}.tercet, or a folder with --directory"
    refused(tercet_cli("compile", files.model, "-o", tmp_path / name), "an artifact is a file NAME.tercet", hint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["file/a.tercet", "file/b/a.tercet"])
def test_unwritable_output(place: str, files: Files, tercet_cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    refused(tercet_cli("compile", files.model, "-o", tmp_path / place, "--quiet"), "cannot be written")
    refused(tercet_cli("run", files.artifact, "-i", files.image, "-o", tmp_path / place), "cannot be written")
    refused(
        tercet_cli("bench", files.artifact, "--repeats", "1", "--json", tmp_path / place, "-q"), "cannot be written"
    )
    refused(tercet_cli("compile", files.model, "--dump-ir", tmp_path / place), "cannot write the IR")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# -- artifacts --------------------------------------------------------------------------------------------------------


def test_no_such_artifact(tercet_cli, files: Files, tmp_path: Path) -> None:
    gone = tmp_path / "gone.tercet"
    for command in (
        ("inspect", gone),
        ("run", gone, "-i", files.image),
        ("verify", gone, "--against", files.model),
        ("bench", gone),
    ):
        refused(tercet_cli(*command), "gone.tercet: no such file or folder")


def test_damaged_artifact(tercet_cli, files: Files, tmp_path: Path) -> None:
    short = tmp_path / "short.tercet"
    short.write_bytes(files.artifact.read_bytes()[:-200])
    for command in (("inspect", short), ("run", short, "-i", files.image)):
        refused(tercet_cli(*command), "not a complete zip file")


def test_artifact_for_another_machine(tercet_cli, files: Files, tmp_path: Path) -> None:
    other = altered(files.artifact, tmp_path / "o.tercet", machine="pdp11", name="pdp11")
    refused(tercet_cli("run", other, "-i", files.image), "made for pdp11 machines", "--target native")
    lacking = altered(files.artifact, tmp_path / "l.tercet", features=["flux_capacitor"])
    refused(tercet_cli("run", lacking, "-i", files.image), "this CPU lacks flux_capacitor")
    assert tercet_cli("inspect", other).code == 0  # looking at it needs no CPU


def test_verify_needs_a_model_with_the_same_ports(tercet_cli, files: Files, tmp_path: Path) -> None:
    other = save_model(tmp_path / "wide.onnx", np.ones((6, 1, 3, 3), np.float32))
    refused(
        tercet_cli("verify", files.artifact, "--against", other),
        "the artifact's outputs are y float32 [1, 4]; the model's are y float32 [1, 6]", "compiled from",
    )  # fmt: skip


def test_bench_leaves_out_a_model_with_other_inputs(tercet_cli, files: Files, tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "g", ports[:2], ports[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "two.onnx")
    done = tercet_cli("bench", files.artifact, "--repeats", "1", "--source", tmp_path / "two.onnx")
    assert done.code == 0 and "no peers: the source has 2 inputs, the artifact 1" in done.out


# -- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1, 1, 6, 6)), "input 'x': expected dtype float32, got float64"),
        (np.zeros((1, 1, 5, 6), np.float32), "input 'x': expected shape [N, 1, 6, 6], got [1, 1, 5, 6]"),
        (np.zeros(36, np.float32), "input 'x': expected shape [N, 1, 6, 6], got [36]"),
        (np.array([{}], dtype=object), "not a NumPy file"),
    ],
)
def test_array_that_does_not_fit(array: np.ndarray, message: str, files: Files, tercet_cli, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    refused(tercet_cli("run", files.artifact, "-i", tmp_path / "a.npy"), message)


def test_bad_input_arguments(files: Files, tercet_cli, tmp_path: Path) -> None:
    (tmp_path / "junk.npy").write_bytes(b"junk")
    (tmp_path / "cut.npy").write_bytes(files.image.read_bytes()[:-50])
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    image = files.image
    for arguments, message in (
        ((tmp_path / "no.npy",), "no.npy: no such file"),
        ((tmp_path,), "cannot be read"),
        ((tmp_path / "junk.npy",), "junk.npy: not a NumPy file"),
        ((tmp_path / "cut.npy",), "cut.npy: not a NumPy file"),
        ((f"z={image}",), "there is no input 'z'"),
        ((image, f"x={image}"), "--input gives 'x' twice"),
        ((tmp_path / "other.npz",), "has no array named like an input (x)"),
        ((f"x={tmp_path / 'other.npz'}",), "is an .npz file"),
    ):
        options = [option for argument in arguments for option in ("--input", argument)]
        refused(tercet_cli("run", files.artifact, *options), message)


def test_bad_samples_for_verify(files: Files, tercet_cli, tmp_path: Path) -> None:
    def verify(**arrays: Any):
        np.savez(tmp_path / "s.npz", **arrays)
        return tercet_cli("verify", files.artifact, "--against", files.model, "--inputs", tmp_path / "s.npz")

    refused(verify(pixels=np.zeros(3)), "has no array for the input 'x'", "it has: pixels")
    refused(verify(x=np.zeros((2, 7), np.float32)), "array 'x': expected shape [N, 1, 6, 6], got [2, 7]")
    refused(verify(x=np.full((1, 36), 0.1)), "expected dtype float32, got float64")
    refused(verify(x=np.zeros((0, 1, 6, 6), np.float32)), "the file has no samples")
    refused(verify(x=np.zeros((2, 0), np.float32)), "expected shape [N, 1, 6, 6], got [2, 0]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(verify(x=np.zeros((2, 1, 6, 6), np.complex64)), "expected dtype float32, got complex64")
        refused(verify(x=np.array([["a"] * 36])), "expected dtype float32, got <U1")
    x = np.zeros((2, 1, 6, 6), np.float32)
    refused(verify(x=x, label=np.zeros(3, int)), "s.npz: array 'label': expected shape [2], got [3]")
    refused(verify(x=x, labels=np.zeros((2, 4))), "s.npz: array 'labels': expected shape [2], got [2, 4]")
    refused(verify(x=x, label=np.array([0, -1])), "array 'label': expected classes 0 to 3, as 'y' has, got -1")
    refused(verify(x=x, label=np.array([2000, 1])), "array 'label': expected classes 0 to 3, as 'y' has, got 2000")
    refused(verify(x=x, label=np.array([0.5, 1])), "array 'label': expected class numbers, got float64")
    refused(verify(x=x, label=np.array(["a", "b"])), "array 'label': expected class numbers, got <U1")
    assert verify(x=x, label=np.array([0.0, 3.0])).code == 0


@pytest.mark.parametrize("samples", [10**11, 10**30])
def test_more_samples_than_memory_holds(samples: int, files: Files, tercet_cli) -> None:
    for command in (("verify", "--against", files.model), ("bench", "--against", "none")):
        verb, *options = command
        done = tercet_cli(verb, files.artifact, *options, "--samples", samples)
        size = f"{samples * 36 * 12 / 2**30:.1f} GiB"
        refused(done, f"the inputs of {samples} samples need {size} of memory", "choose fewer samples")


def test_errors_quote_little_of_files(files: Files, tercet_cli, tmp_path: Path) -> None:
    (tmp_path / "p.mlir").write_text('builtin.module { "no.thing"() ' + "x" * 100_000 + " }")
    done = tercet_cli("opt", tmp_path / "p.mlir")
    refused(done, "p.mlir:1:28", '\n  builtin.module { "no.thing"() xxx', "\n" + " " * 29 + "^ ")
    assert len(done.err) < 600
    (tmp_path / "p.mlir").write_text("builtin.module { " + "x" * 100_000 + " }")
    done = tercet_cli("opt", tmp_path / "p.mlir")
    refused(done, "cannot parse the program")
    assert len(done.err) < 4000
    done = tercet_cli("inspect", files.artifact, "--repetition", "--bench", files.artifact)
    refused(done, "little.tercet: not a benchmark report: 'utf-8' codec can't decode", "tercet bench --per-layer")
    assert len(done.err) < 600
    (tmp_path / "b.json").write_text("{}")
    refused(tercet_cli("inspect", files.artifact, "--repetition", "--bench", tmp_path / "b.json"), "it has no 'layers'")


def test_a_batch_that_the_artifact_does_not_take(files: Files, tercet_cli, tmp_path: Path) -> None:
    model = little_model(WEIGHTS)
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(model, str(tmp_path / "three.onnx"))
    done = tercet_cli("bench", tmp_path / "three.onnx", "--samples", "2", "--repeats", "1", "--quiet")
    refused(done, "does not take a batch of 2", "compile the model with --batch N")
