"""The scripts in examples/resnet20 that read training runs, on runs of one small epoch."""

from __future__ import annotations

import importlib
import io
import lzma
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'tercet[torch]')")
pytest.importorskip("PIL", reason="Pillow is not installed (pip install pillow)")

import onnx
import torch
from PIL import Image
from torch import Tensor

import tercet

EXAMPLE = Path(__file__).parents[2] / "examples" / "resnet20"
KEPT = sorted((EXAMPLE / "runs").glob("*.pt.xz"))
IMAGES = 40


class Noise:
    steps = 2

    def batches(self, epoch: int, rank: int, processes: int) -> Iterator[tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(epoch)
        for _ in range(rank, self.steps, processes):
            yield torch.randn(8, 3, 32, 32, generator=random), torch.randint(0, 10, (8,), generator=random)

    def test(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.batches(1000, 0, 1)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.nn.Module]:
    """The float network. The example's modules can be imported; other examples have modules of the same names."""
    monkeypatch.syspath_prepend(EXAMPLE)
    torch.manual_seed(0)
    yield importlib.import_module("model").ResNet20()
    for path in EXAMPLE.glob("*.py"):
        sys.modules.pop(path.stem, None)


def begin_run(net: torch.nn.Module, scheme: str, epochs: int, runs: Path) -> None:
    """One epoch of a run in a folder, as train.py begins one."""
    module = tercet.torch.prepare(net, scheme, example_inputs=(torch.zeros(1, 3, 32, 32),))
    recipe = tercet.torch.Recipe.one_stage(epochs, 0.02, compiled=False)
    tercet.torch.train(module, Noise(), recipe, runs / f"resnet20-{scheme}-{epochs}", epochs=1, quiet=True)


def write_images(path: Path) -> None:
    """JPEGs of noise, as data.py reads them."""
    random, files = np.random.default_rng(0), list[bytes]()
    for _ in range(IMAGES):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(file, "JPEG")
        files.append(file.getvalue())
    offset = np.cumsum([0, *map(len, files)])
    np.savez(path, jpeg=np.frombuffer(b"".join(files), np.uint8), offset=offset, label=random.integers(0, 10, IMAGES))


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.mark.check
def test_table_of_runs(net: torch.nn.Module, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "start.pt")
    begin_run(net, "ttq", 30, tmp_path / "runs")
    (tmp_path / "runs" / "resnet20-unknown-30").mkdir()
    write_images(tmp_path / "test.npz")
    done = script(
        "results.py", "--from", tmp_path / "start.pt", "--test", tmp_path / "test.npz", "--runs", tmp_path / "runs",
        "-o", tmp_path / "out", "--rounds", "3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    titles, _, *rows = lines
    start, ttq = (dict(zip(titles, row, strict=True)) for row in rows)
    assert (start["network"], start["epochs"], start["gap"]) == ("start", "", "+0.00")
    assert (ttq["network"], ttq["epochs"]) == ("ttq", "1 of 30") and 0 < float(ttq["weights not 0"]) < 1
    assert all(row["accuracy, torch"] == row["artifact"] and row["other class"] == "0" for row in (start, ttq))
    assert int(ttq["artifact, bytes"]) == (tmp_path / "out" / "ttq.tercet").stat().st_size
    assert 2 * int(ttq["library, packed, bytes"]) < int(start["library, packed, bytes"])


@pytest.mark.check
def test_the_best_ternary_network_as_onnx(net: torch.nn.Module, tmp_path: Path) -> None:
    begin_run(net, "ternary", 2, tmp_path / "runs")
    write_images(tmp_path / "test.npz")
    arguments = ["--test", tmp_path / "test.npz", "--runs", tmp_path / "runs", "-o", tmp_path / "net.onnx"]
    done = script("ship.py", *arguments)
    assert done.returncode == 2 and "is finished; --unfinished takes others" in done.stderr
    done = script("ship.py", *arguments, "--unfinished")
    assert done.returncode == 0, done.stderr
    assert "ternary, 1 of 2 epochs" in done.stdout and "18 tensors of -1, 0 and 1" in done.stdout
    assert (tmp_path / "net.onnx").stat().st_size <= 300_000
    onnx.checker.check_model(str(tmp_path / "net.onnx"))


def test_a_run_is_kept_and_restored(
    net: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = importlib.import_module("kept")
    monkeypatch.setattr(kept, "RUNS", tmp_path / "kept")
    begin_run(net, "ttq", 2, tmp_path / "runs")
    run = tmp_path / "runs" / "resnet20-ttq-2"
    before = (run / "checkpoint.pt").read_bytes()
    assert kept.keep(run).stat().st_size < len(before)
    kept.restore(tmp_path / "others" / run.name)
    assert (tmp_path / "others" / run.name / "checkpoint.pt").read_bytes() == before
    (run / "checkpoint.pt").write_bytes(b"newer")
    kept.restore(run)
    assert (run / "checkpoint.pt").read_bytes() == b"newer"


@pytest.mark.parametrize("kept", KEPT or [None], ids=[path.name for path in KEPT] or ["none"])
def test_a_run_that_is_kept_can_go_on(kept: Path | None, net: torch.nn.Module, tmp_path: Path) -> None:
    if kept is None:  # all runs are finished
        return
    (tmp_path / "checkpoint.pt").write_bytes(lzma.decompress(kept.read_bytes()))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    setting = importlib.import_module("train").SETTINGS[kept.name.removeprefix("resnet20-").rpartition("-")[0]]
    module = tercet.torch.prepare(net, setting.scheme, example_inputs=(torch.zeros(1, 3, 32, 32),))
    (stage,) = state["recipe"]["stages"]
    recipe = tercet.torch.Recipe.one_stage(stage["epochs"], stage["rate"])
    history = tercet.torch.train(module, Noise(), recipe, tmp_path, epochs=state["epochs"], quiet=True)
    assert len(history) == state["epochs"] > 0 and "test_accuracy" in history[-1]
