"""What a new user gets wrong, and is told: options that do nothing, wrong words, other kinds of files and objects."""

from __future__ import annotations

import pickle
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tercet
from tercet.ir.errors import InputError
from tercet.runtime.load.loader import LoadedModel

from .conftest import Files
from .models import WEIGHTS, little_model
from .test_errors import refused


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("frobnicate",), "see `tercet --help`"),
        (("comple", "a.onnx"), "did you mean compile? see `tercet --help`"),
        (("compile", "a.onnx", "--tun"), "see `tercet compile --help`"),
        (("compile", "a.onnx", "--optimise", "size"), "did you mean --optimize? see `tercet compile --help`"),
        (("compile", "a.onnx", "--batchsize=3"), "did you mean --batch? see `tercet compile --help`"),
        (("compile", "a.onnx", "--threading", "pol"), "did you mean pool? see `tercet compile --help`"),
        (("inspect", "a.onnx", "--diffs", "3"), "did you mean --diff? see `tercet inspect --help`"),
        (("bench", "a.onnx", "--repeat", "x"), "see `tercet bench --help`"),
        (("compile", "a.onnx", "--shape", "x=1,a"), "see `tercet compile --help`"),
        (("compile", "a.onnx", "--shape", "x=1,0"), "see `tercet compile --help`"),
    ],
)
def test_usage_errors_name_the_help_of_the_verb(arguments: tuple[str, ...], hint: str, tercet_cli) -> None:
    done = tercet_cli(*arguments)
    assert done.code == 2 and done.out == ""
    assert done.err.endswith(f"{hint}\n"), done.err


def test_an_option_that_would_do_nothing(files: Files, tercet_cli, tmp_path: Path) -> None:
    out = tmp_path / "a.tercet"
    done = tercet_cli("compile", files.model, "-o", out, "--tune-candidates", "3")
    refused(done, "--tune-candidates does nothing without --tune", "hint: add --tune")
    assert not out.exists()


def test_run_takes_what_verify_takes(files: Files, tercet_cli) -> None:
    """An array `input` for the only input, as in files of samples."""
    with np.load(files.samples) as arrays:
        images = arrays["input"].reshape(5, 1, 6, 6)
        np.savez(again := files.samples.with_name("named_input.npz"), input=images, label=arrays["label"])
    done = tercet_cli("run", files.artifact, "-i", again)
    assert done.code == 0 and "[5, 4]" in done.out


def test_shapes_on_the_command_line(tercet_cli, tmp_path: Path) -> None:
    import onnx

    model = little_model(WEIGHTS)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[2].dim_param, dims[3].dim_param = "height", "width"
    onnx.save(model, str(path := tmp_path / "open.onnx"))
    out = tmp_path / "a.tercet"
    refused(
        tercet_cli("compile", path, "-o", out),
        "the size of 'height', 'width' in [batch, 1, height, width] is not known", "--shape x=?,1,height,width",
    )  # fmt: skip
    assert tercet_cli("compile", path, "-o", out, "--shape", "x=?,1,7,6", "--target", "generic").code == 0
    assert [port.shape for port in tercet.load(out).inputs] == [(1, 1, 7, 6)]
    assert tercet_cli("verify", out, "--against", path).code == 0
    for verb in (("inspect",), ("inspect", "--repetition", "--budget", "0.01"), ("bench", "--repeats", "1")):
        assert tercet_cli(verb[0], path, *verb[1:], "--shape", "?,1,7,6", "--target", "generic").code == 0
    refused(tercet_cli("inspect", path, "--shape", "y=1,1,7,6"), "there is no input 'y'", "the model has: x")
    refused(tercet_cli("inspect", path, "--shape", "1,1,7,6", "--shape", "1,1,8,6"), "given twice")


def test_costs_that_were_not_measured_are_said(files: Files, tercet_cli, tmp_path: Path) -> None:
    out = tmp_path / "a.tercet"
    done = tercet_cli("compile", files.model, "-o", out, "--target", "generic")
    assert "tercet: hint: costs for generic were not measured" in done.err
    assert "--tune measures this machine" in done.err
    assert tercet_cli("compile", files.model, "-o", out, "--target", "generic", "--quiet").err == ""
    one = tercet_cli("compile", files.model, "-o", out, "--target", "generic", "--engine", "loops")
    assert "costs" not in one.err
    assert "costs" not in tercet_cli("compile", files.model, "-o", out, "--target", "x86-64-v3").err


# -- files that are no models -----------------------------------------------------------------------------------------


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")


def other_files(folder: Path) -> dict[str, tuple[Path, str, str]]:
    """Name -> file, what it is, and what to do."""
    zipped(torch := folder / "net.pt", "net/data.pkl", "net/data/0")
    zipped(keras := folder / "net.keras", "config.json", "model.weights.h5")
    zipped(plain := folder / "net.zip", "readme.txt")
    (old := folder / "old.pth").write_bytes(pickle.dumps({"w": 1}, protocol=2))
    (lite := folder / "net.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(50))
    (hdf := folder / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    (lfs := folder / "net.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    np.savez(samples := folder / "samples.npz", x=np.ones(3))
    header = b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    (safe := folder / "net.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    return {
        "torch": (torch, "a PyTorch file", "torch.onnx.export"), "old torch": (old, "a pickle", "torch.onnx.export"),
        "keras": (keras, "a Keras file", "export"), "zip": (plain, "a zip file", "unpack"),
        "tflite": (lite, "a TensorFlow Lite model", "tf2onnx"), "hdf5": (hdf, "an HDF5 file", "export"),
        "lfs": (lfs, "a Git LFS pointer", "git lfs pull"), "npz": (samples, "arrays of NumPy", "a model is needed"),
        "safetensors": (safe, "a safetensors file", "torch.onnx.export"),
    }  # fmt: skip


def test_files_that_are_something_else(tercet_cli, tmp_path: Path) -> None:
    for path, what, advice in other_files(tmp_path).values():
        refused(tercet_cli("compile", path), f"{path.name}: not an ONNX model, but {what}", "hint: ", advice)
    torch = tmp_path / "net.pt"
    refused(tercet_cli("inspect", torch), "not an ONNX model, but a PyTorch file", "torch.onnx.export")


def test_an_artifact_where_a_model_is_needed_and_the_reverse(files: Files, tercet_cli, tmp_path: Path) -> None:
    refused(tercet_cli("compile", files.artifact), "an artifact of tercet", "tercet inspect")
    refused(tercet_cli("run", files.model, "-i", files.image), "a model, not an artifact", "compile it first")
    refused(tercet_cli("verify", files.model, "--against", files.model), "a model, not an artifact")
    folder = tmp_path / "folder"
    tercet.compile(files.model, folder, target="generic", as_directory=True)
    refused(tercet_cli("compile", folder), "an artifact of tercet")


# -- Python -----------------------------------------------------------------------------------------------------------


def test_objects_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a model, got builtins\.int"):
        tercet.compile(3, tmp_path / "a.tercet")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"expected a model, got builtins\.bytes"):
        tercet.inspect(b"abc")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="expected the path of an artifact, got int"):
        tercet.load(3)  # pyright: ignore[reportArgumentType]


def test_a_torch_module_needs_example_inputs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for call in (tercet.compile, tercet.import_model, tercet.inspect, tercet.bench):
        with pytest.raises(InputError, match="a torch module needs example inputs") as caught:
            call(torch.nn.Sequential(torch.nn.Linear(2, 2)).eval())
        assert "torch.zeros(1, 3, 32, 32)" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_one_engine_may_be_a_string(files: Files, tmp_path: Path) -> None:
    made = tercet.compile(files.model, tmp_path / "a.tercet", engines="loops", target="generic")
    assert {layer.engine for layer in made.layers} == {"loops"}
    assert tercet.load(made.path).manifest.options["engines"] == ("loops",)
    with pytest.raises(InputError, match="unknown engine 'tabel'"):
        tercet.inspect(files.model, engines="tabel")


def test_docstrings_name_nothing_private() -> None:
    """A user can import what a public docstring mentions."""
    public = [getattr(tercet, name) for name in tercet.__all__ if name != "__version__"]
    methods = [getattr(LoadedModel, name) for name in dir(LoadedModel) if not name.startswith("_")]
    for thing in (*public, LoadedModel, *methods):
        text = thing.__doc__ or ""
        private = re.findall(r"`((?:runtime|frontend|passes|backends|ir|driver|lossy|tuning)\.[\w.]+)", text)
        assert not private, f"{thing}: {private}"
    assert sys.modules["tercet"].__doc__
