"""A small model and its artifact, compiled once, and ways to call the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import tercet
from tercet.cli import main

from .models import WEIGHTS, save_model


@dataclass(frozen=True)
class Outcome:
    """What a command gave: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Files:
    """model, artifact: of one model. image: an .npy input [2, 1, 6, 6]. samples: .npz inputs with expected results."""

    folder: Path
    model: Path
    artifact: Path
    image: Path
    samples: Path


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Nothing may change these: tests write into `tmp_path`."""
    folder = tmp_path_factory.mktemp("model")
    model = save_model(folder / "little.onnx", WEIGHTS)
    artifact = folder / "little.tercet"
    tercet.compile(model, artifact, target="generic")
    images = np.arange(5 * 36, dtype=np.float32).reshape(5, 1, 6, 6) % 7 - 3
    np.save(folder / "image.npy", images[:2])
    expected = tercet.run(artifact, images)["y"]
    labels = expected.argmax(axis=1)
    labels[0] = (labels[0] + 1) % 4
    np.savez(folder / "samples.npz", input=images.reshape(5, 36), output=expected, label=labels)
    return Files(folder, model, artifact, folder / "image.npy", folder / "samples.npz")


@pytest.fixture
def tercet_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command in this process."""

    def call(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse: --help, --version and bad usage
            code = stop.code if isinstance(stop.code, int) else 1
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def tercet_process(tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a command in a process of its own, in an empty folder."""

    def call(*arguments: str | Path, **environment: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "tercet", *map(str, arguments)],
            cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call
