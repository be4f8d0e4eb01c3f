"""compile and sensitivity with lossy options, on a little float model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from tercet.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convolutions `first`, `second`, `third` with relus between; x [batch, 1, 6, 6], and samples.npz beside it."""
    folder, rng = tmp_path_factory.mktemp("lossy"), np.random.default_rng(0)
    nodes, weights, shapes = [], [], {"first": (4, 1, 3, 3), "second": (4, 4, 3, 3), "third": (3, 4, 2, 2)}
    y = "x"
    for name, shape in shapes.items():
        weights.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), f"{name}.weight"))
        nodes.append(helper.make_node("Conv", [y, f"{name}.weight"], [name], name=name))
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"], name=f"{name}.relu"))
        y = f"{name}.relu"
    graph = helper.make_graph(
        nodes, "little",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 6, 6])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["batch", 3, 1, 1])],
        weights,
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "little.onnx")
    np.savez(folder / "samples.npz", x=rng.normal(size=(8, 1, 6, 6)).astype(np.float32))
    return folder / "little.onnx"


def test_compile_reports_losses_and_inspect_shows_them(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, samples = str(tmp_path / "m.tercet"), str(model.parent / "samples.npz")
    arguments = ["--weights", "ternary", "--calibrate", samples, "--print-ir-after", "ternarize"]
    assert main(["compile", str(model), "-o", out, *arguments]) == 0
    shown = capsys.readouterr().out
    assert "// IR after 04-ternarize" in shown and "second.weight.ternary" in shown
    assert "lossy: ternary weights, scales per channel, in 1 of 3 layers" in shown
    assert "first layer" in shown and "last layer" in shown and "8 calibration samples" in shown
    assert main(["inspect", out]) == 0
    assert "lossy: ternary weights" in capsys.readouterr().out
    assert main(["inspect", out, "--json"]) == 0
    losses = json.loads(capsys.readouterr().out)["losses"]
    assert [layer["kept"] for layer in losses["layers"]] == ["first layer", "", "last layer"]
    assert losses["layers"][1]["weight_snr"] is not None and losses["samples"] == 8


def test_sensitivity(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = str(model.parent / "samples.npz")
    assert main(["sensitivity", str(model), "--calibrate", samples, "--keep", "th*"]) == 0
    shown = capsys.readouterr().out
    assert "first" in shown and "second" in shown and "third" not in shown
    assert main(["sensitivity", str(model), "--calibrate", samples, "--weights", "signed-binary", "--json"]) == 0
    assert {row["layer"] for row in json.loads(capsys.readouterr().out)} == {"first", "second", "third"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "ternary", "--keep", "nose"], "there is no layer 'nose' to keep"),
        (["--weights", "ternary", "--keep", "second"], "there is nothing to change"),
        (["--weights", "ternary", "--threshold", "0.1"], "only for weights 'ttq'"),
        (["--weights", "ternary", "--activations", "int8"], "need calibration data"),
        (["--weights", "ternary", "--calibrate", "none.npz"], "none.npz: no such file"),
        (["--calibrate", "none.npz"], "but nothing is to be changed"),
        (["--weights", "signed-binary", "--regions", "2"], "not a shape of signed-binary regions"),
        (["--all-layers"], "nothing is changed"),
    ],
)
def test_mistakes(
    model: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m.tercet"
    assert main(["compile", str(model), "-o", str(out), *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert not out.exists()
