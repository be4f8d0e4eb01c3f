"""Artifacts of the TVM backend: compiled, verified step by step, run, profiled and inspected like any other."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from suite.resnet18 import resnet18

import tercet
from tercet.backends.reference.interpreter import run
from tercet.cli import main
from tercet.ir.errors import ArtifactError, InputError
from tercet.runtime.artifact.artifact import Artifact

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_ternary.onnx"
MODELS = ("cnv_w2a2.onnx", "cnv_w1a1.onnx", "kws_w3a3.qonnx.onnx")
TARGETS = ("native", "generic")

needs_tvm = pytest.mark.skipif(find_spec("tvm") is None, reason="TVM is not installed (pip install 'tercet[tvm]')")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tvm") / "digits.tercet"
    tercet.compile(DIGITS, path, backend="tvm")
    return path


@needs_tvm
def test_every_step_is_what_the_interpreter_computes(artifact: Path) -> None:
    found = tercet.verify(artifact, DIGITS, per_layer=True)
    assert found.ok and len(found.layers) == 17 and all(layer.ok for layer in found.layers)


@needs_tvm
def test_batches_bound_calls_steps_and_times(artifact: Path) -> None:
    images = np.load(DIGITS.with_name("digits_test.npz"))["image"][:5]
    with tercet.load(artifact) as model:
        together = model.run(images)["logits"]
        one_by_one = np.concatenate([model.run(image[None])["logits"] for image in images])
        np.testing.assert_array_equal(together, one_by_one)
        bound = model.bind({"image": images})
        bound()
        np.testing.assert_array_equal(bound.outputs["logits"], together)
        assert model.run(images[:0])["logits"].shape == (0, 10)
        steps = model.results(images[:1])
        np.testing.assert_array_equal(model.run_until(len(steps) - 1, images[:1])[0], steps[-1][0])
        np.testing.assert_allclose(steps[-1][0], together[:1], rtol=1e-5, atol=1e-5)
        seconds = model.profile(images[:1], repeats=2)
        assert len(seconds) == len(model.layers) and min(seconds) > 0


@needs_tvm
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, target: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = request.getfixturevalue("models") / name
    tercet.compile(path, tmp_path / "model.tercet", backend="tvm", target=target)
    program, rng = tercet.import_model(path), np.random.default_rng(0)
    with tercet.load(tmp_path / "model.tercet") as model:
        (port,) = model.inputs
        x = rng.standard_normal(port.shape) if port.dtype == "float32" else rng.integers(0, 256, port.shape)
        feeds = {port.name: x.astype(port.dtype)}
        want, have = run(program, feeds), model.run(feeds)
    for output, array in want.items():
        np.testing.assert_allclose(have[output], array, rtol=1e-5, atol=1e-5 * np.abs(array).max())


@needs_tvm
def test_a_scalar_input(tmp_path: Path) -> None:
    x, s, y = (helper.make_tensor_value_info(name, 1, [] if name == "s" else [2, 3]) for name in "xsy")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "s"], ["y"])], "scaled", [x, s], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    tercet.compile(model, tmp_path / "scaled.tercet", backend="tvm")
    feeds = {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "s": np.float32(3)}
    with tercet.load(tmp_path / "scaled.tercet") as artifact:
        np.testing.assert_array_equal(artifact.run(feeds)["y"], feeds["x"] * 3)


@needs_tvm
@pytest.mark.check
@pytest.mark.parametrize("target", TARGETS)
def test_resnet18_with_ternary_weights_and_activations(target: str, tmp_path: Path) -> None:
    model = resnet18("ternary")
    tercet.compile(model, tmp_path / "model.tercet", backend="tvm", target=target)
    with tercet.load(tmp_path / "model.tercet") as artifact:
        (port,) = artifact.inputs
        x = {port.name: np.random.default_rng(0).standard_normal(port.shape).astype(np.float32)}
        have = artifact.run(x)
    for output, want in run(tercet.import_model(model), x).items():
        np.testing.assert_allclose(have[output], want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


@needs_tvm
def test_inspect_shows_the_steps(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(artifact)]) == 0
    out = capsys.readouterr().out
    assert "TVM 0.27" in out and "k03_conv2" in out and "14-one-kernel-each, 15-tvm-relax, 16-tvm-fused\n" in out
    assert main(["inspect", str(artifact), "--after", "tvm-fused"]) == 0
    assert "@I.ir_module" in capsys.readouterr().out
    assert main(["inspect", str(artifact), "--op", "k03_conv2", "--after", "tvm-fused"]) == 2
    assert "after '16-tvm-fused' there are no operations of tercet" in capsys.readouterr().err
    assert main(["inspect", str(artifact), "--why", "k03_conv2"]) == 0
    assert "engine popcount; the backend keeps no list" in capsys.readouterr().out


@needs_tvm
def test_a_damaged_library_is_refused(artifact: Path, tmp_path: Path) -> None:
    data = bytearray(artifact.read_bytes())
    data[data.index(b"\x7fELF") + 4000] ^= 1
    (tmp_path / "bad.tercet").write_bytes(data)
    with pytest.raises(ArtifactError, match="cannot be read: Bad CRC-32"):
        tercet.load(tmp_path / "bad.tercet")


@pytest.fixture(scope="module")
def libraries(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """That are no library of the artifact's."""
    path = tmp_path_factory.mktemp("other") / "other.tercet"
    found = {"its own": Artifact.open(artifact).read("lib/libdigits_ternary.so")}
    tercet.compile(DIGITS, path, target="generic")
    found["of the C backend"] = Artifact.open(path).read("lib/libdigits_ternary.so")
    x, y = (helper.make_tensor_value_info(name, 1, [1, 1, 8, 8]) for name in ("image", "logits"))
    for name, ports in (("of another network", (x, y)), ("of other inputs", (y, y))):
        inputs = [ports[0]] if name == "of another network" else [x, ports[1]]
        node = helper.make_node("Abs", ["image"], ["out"])
        out = helper.make_tensor_value_info("out", 1, [1, 1, 8, 8])
        graph = helper.make_graph([node], "digits_ternary", inputs, [out])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        tercet.compile(model, path, backend="tvm", name="digits_ternary")
        found[name] = Artifact.open(path).read("lib/libdigits_ternary.so")
    own = found["its own"]
    return {**found, "cut": own[: len(own) // 2], "with another header": own[:64] + b"\xff" * 400 + own[464:]}


@needs_tvm
@pytest.mark.parametrize(
    ("library", "message"),
    [
        ("of the C backend", "TVM cannot load the library: "),
        ("of another network", "the library gives "),
        ("of other inputs", "the library fails: "),
        ("cut", "the library is cut off after "),
        ("with another header", "the library"),
    ],
)
def test_another_library_with_the_right_hash(
    library: str, message: str, libraries: dict[str, bytes], artifact: Path, tmp_path: Path
) -> None:
    sound = Artifact.open(artifact)
    files = {name: sound.read(name) for name in sound.names} | {sound.manifest.library: libraries[library]}
    Artifact.write(tmp_path / "bad.tercet", files, sound.manifest)
    x = np.zeros((2, 1, 8, 8), np.float32)
    with pytest.raises(ArtifactError, match=message) as caught, tercet.load(tmp_path / "bad.tercet") as model:
        model.run(x)
    assert caught.value.where == str(tmp_path / "bad.tercet") and "\n" not in caught.value.what
    for call in (lambda model: model.results(x[:1]), lambda model: model.profile(x)):
        with pytest.raises(ArtifactError), tercet.load(tmp_path / "bad.tercet") as model:
            call(model)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"target": "aarch64"}, "the TVM backend has no target 'aarch64'"),
        ({"engines": ["table"]}, "the TVM backend has no engine 'table'"),
        ({"optimize": "size"}, "optimize: the TVM backend has no such choice"),
        ({"threading": "openmp"}, "threading: the TVM backend has no such choice"),
    ],
)
def test_choices_it_does_not_have(choices: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        tercet.compile(DIGITS, tmp_path / "x.tercet", backend="tvm", **choices)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("raise ModuleNotFoundError(name='tvm')", "TVM is not installed"),
        ("", "another TVM than 0.27 is installed: No module named 'tvm.relax'"),
    ],
    ids=["none", "another"],
)
def test_without_tvm_the_extra_is_named(package: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "tvm").mkdir()
    (tmp_path / "tvm" / "__init__.py").write_text(package)
    command = [sys.executable, "-m", "tercet", "compile", str(DIGITS), "-o", "x.tercet", "--backend", "tvm"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2 and message in done.stderr and "pip install 'tercet[tvm]'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tvm"]


def test_nothing_imports_tvm_unasked(tmp_path: Path) -> None:
    code = f"""
import sys, tercet
tercet.compile({str(DIGITS)!r}, {str(tmp_path / "x.tercet")!r}, target="generic")
tercet.load({str(tmp_path / "x.tercet")!r}).close()
print([name for name in sys.modules if name.partition(".")[0] in ("tvm", "tvm_ffi")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
