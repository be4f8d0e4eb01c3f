"""The folder of `tercet cost --verilog`: what is in it, that Icarus agrees, and that nothing of others is replaced."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tercet
from tercet.driver.netlist_files import MARK, SAMPLES, VECTORS, WHOLE
from tercet.ir.errors import InputError

from .helpers import DIGITS, icarus

DATA = DIGITS.with_name("digits_test.npz")
ONE = ["cntfet32-static"]


def ran(folder: Path, name: str) -> str:
    """What the bench of a netlist prints, run as the README says."""
    (cells,) = folder.glob("*_cells.v")
    out = folder.parent.parent / f"{name}.vvp"
    sources = [f"{name}.v", f"{name}_bench.v", cells.name]
    subprocess.run(["iverilog", "-g2001", "-o", str(out), *sources], cwd=folder, check=True, timeout=600)
    return subprocess.run(["vvp", str(out)], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def quantized(
    path: Path, product: onnx.NodeProto, weights: np.ndarray, x: Sequence[int | str], y: Sequence[int | str]
) -> Path:
    """Writes a network of a quantizer, a product of `d` and the weights `w`, and a quantizer. x, y: shapes."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], "dequantize"),
        product,
        helper.make_node("QuantizeLinear", ["s", "scale", "zero"], ["r"], "again"),
        helper.make_node("DequantizeLinear", ["r", "scale", "zero"], ["y"], "out"),
    ]
    stored = {"scale": np.float32(0.5), "zero": np.int8(0), "w": weights.astype(np.float32)}
    graph = helper.make_graph(
        nodes, path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def tiny(path: Path, *, ternary: bool = True) -> Path:
    """A network that is small enough for one netlist: 4 numbers times 4 x 3 weights, then thresholds."""
    rng = np.random.default_rng(0)
    weights = rng.choice([-1, 0, 1], (4, 3)) if ternary else rng.standard_normal((4, 3))
    return quantized(path, helper.make_node("MatMul", ["d", "w"], ["s"], "product"), weights, ["N", 4], ["N", 3])


def padded(path: Path, weights: np.ndarray, size: int = 5) -> Path:
    """A convolution with borders, of int8 maps and a batch that is fixed at 1, then a quantizer."""
    conv = helper.make_node("Conv", ["d", "w"], ["s"], "conv", pads=[1, 1, 1, 1])
    maps = [size, size]
    return quantized(path, conv, weights, [1, weights.shape[1], *maps], [1, len(weights), *maps])


def test_a_tile_of_each_operation(tmp_path: Path) -> None:
    report = tercet.cost(DIGITS, verilog=tmp_path / "out", inputs=DATA, libraries=ONE)
    folder = tmp_path / "out" / "ternary_cntfet32_static"
    readme = (tmp_path / "out" / "README.md").read_text()
    rows = re.findall(r"^\| (op\d\d_\w+) \| .+ \| ([\d,]+) \| ([\d,]+) \| (.+) \|$", readme, re.MULTILINE)
    assert len(rows) == len(report.costs[0].operations) == 13
    for (name, gates, pixels, origin), one in zip(rows, report.costs[0].operations, strict=True):
        assert int(gates.replace(",", "")) * one.copies == one.gates and int(pixels.replace(",", "")) == one.copies
        seen = VECTORS // 2 if one.copies > 1 else SAMPLES
        rest = f"{VECTORS - seen} random and extreme"
        assert origin == f"{seen} activations of {SAMPLES} samples of digits_test.npz, {rest}"
        netlist = (folder / f"{name}.v").read_text()
        assert len(re.findall(r"^  \w+ g\d+\(", netlist, re.MULTILINE)) == int(gates.replace(",", ""))
        assert (folder / f"{name}.blif").read_text().count(".subckt") == int(gates.replace(",", ""))
        lines = (folder / f"{name}_y.mem").read_text().split()
        assert len(lines) == VECTORS and len(set(lines)) > 1
    assert f"left out, as {report.costs[0].gates:,} gates are more than {WHOLE:,}" in readme
    files = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert files == {MARK, *json.loads((tmp_path / "out" / MARK).read_text())}


@icarus
@pytest.mark.parametrize("given", [True, False])
def test_icarus_agrees(given: bool, tmp_path: Path) -> None:
    """The first and the last layer of the demo, on its test images and random numbers; on these alone without."""
    tercet.cost(DIGITS, verilog=tmp_path / "out", inputs=DATA if given else None, libraries=ONE)
    folder = tmp_path / "out" / "ternary_cntfet32_static"
    assert ran(folder, "op00_conv1_conv") == f"PASS {VECTORS}"
    assert ran(folder, "op12_fc2_matmul") == f"PASS {VECTORS}"
    assert ("activations" in (tmp_path / "out" / "README.md").read_text()) == given


@icarus
def test_a_small_network_is_one_netlist(tmp_path: Path) -> None:
    report = tercet.cost(tiny(tmp_path / "tiny.onnx"), verilog=tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert len(report.costs) == 3
    for folder in ("ternary_cntfet32_static", "neg_pos_nangate45_like", "two_s_complement_nangate45_like"):
        assert ran(tmp_path / "out" / folder, "whole") == f"PASS {SAMPLES}"
        assert f"- {folder}/whole.v: " in readme and (tmp_path / "out" / folder / "whole.blif").exists()
    inputs = set((tmp_path / "out" / "ternary_cntfet32_static" / "whole_x0.mem").read_text().split())
    assert len(inputs) > SAMPLES // 2, "samples differ"


def test_calibration_data_are_vectors(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((20, 4)).astype(np.float32)
    weights = tercet.LossyOptions("ternary", ends=True)
    model = tiny(tmp_path / "tiny.onnx", ternary=False)
    tercet.cost(model, calibrate={"x": x}, weights=weights, verilog=tmp_path / "out", libraries=ONE)
    assert "activations of 20 samples of calibration data" in (tmp_path / "out" / "README.md").read_text()


def test_only_what_it_wrote_is_replaced(tmp_path: Path) -> None:
    model, out = tiny(tmp_path / "tiny.onnx"), tmp_path / "out"
    out.mkdir()
    tercet.cost(model, verilog=out, libraries=ONE)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    tercet.cost(model, verilog=out, libraries=ONE)
    assert before == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    for file, text in ((out / "notes.txt", "mine"), (out / "README.md", "changed"), (out / MARK, "[]")):
        kept = file.read_bytes() if file.exists() else None
        file.write_text(text)
        with pytest.raises(InputError, match=r"which was not written by tercet or was changed since; not replaced"):
            tercet.cost(model, verilog=out, libraries=ONE)
        assert file.read_text() == text
        file.unlink() if kept is None else file.write_bytes(kept)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file; not replaced by a folder"):
        tercet.cost(model, verilog=tmp_path / "file", libraries=ONE)


def test_nothing_is_left_of_a_folder_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tercet.driver import netlist_files

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(netlist_files, "blif", fails)
    with pytest.raises(InputError, match="No space left on device"):
        tercet.cost(tiny(tmp_path / "tiny.onnx"), verilog=tmp_path / "out", libraries=ONE)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]


@icarus
@pytest.mark.parametrize("zeros", [False, True])
def test_gates_of_constants_alone(tmp_path: Path, zeros: bool) -> None:
    """A border, and a filter of zeros, leave gates whose inputs never change: they give a value all the same."""
    weights = np.random.default_rng(1).choice([-1, 0, 1], (2, 1, 3, 3))
    weights[0] *= not zeros
    model = padded(tmp_path / "padded.onnx", weights)
    tercet.cost(model, verilog=tmp_path / "out")
    folders = [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert len(folders) == 3
    for folder in folders:
        names = [bench.name.removesuffix("_bench.v") for bench in sorted(folder.glob("*_bench.v"))]
        assert "whole" in names
        for name in names:
            assert ran(folder, name).startswith("PASS"), (folder.name, name)


def test_samples_of_a_model_with_a_batch_of_one(tmp_path: Path) -> None:
    """Passes find that it takes any batch; its samples are one at a time all the same."""
    model = padded(tmp_path / "padded.onnx", np.ones((1, 1, 3, 3)))
    x = np.random.default_rng(0).standard_normal((6, 1, 5, 5)).astype(np.float32)
    report = tercet.cost(model, inputs={"x": x}, verilog=tmp_path / "out", libraries=ONE)
    assert report.costs[0].changes
    assert "6 samples" in (tmp_path / "out" / "README.md").read_text()
