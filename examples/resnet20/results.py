"""What training has reached: compiles the network of every run in $TERCET_RUNS, verifies it, counts how often torch and
the artifact are right, times the artifacts alternately, and prints a table.

python examples/resnet20/results.py --from resnet20.pt --test cifar10_test.npz -o build/results

Runs that are not finished are in it with the epochs that they have.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before onnxruntime is imported

import numpy as np
import onnx
import onnxruntime as ort
import torch

# isort: split
from data import normalise, pictures
from model import load, to_onnx
from torch import nn
from train import runs_folder
from trained import ANY_BATCH, EXAMPLE, Trained, trained

import tercet
from tercet.runtime.check.timing import Spread, interleave, pinned

BATCH = 100
VERIFIED = 16
"""Images on which artifacts must compute what the networks do."""
OTHERS = 5
"""So many images may torch and the artifact put into different classes: where a float sum is nearly at a threshold,
another order of the summands may lead to another value."""


@dataclass(frozen=True)
class Result:
    """small: the artifact with packed weights only, `--optimize size`. by_torch, by_artifact: the shares of images that
    both are right about. others: the number of images that they put into different classes."""

    network: Trained
    artifact: Path
    small: Path
    by_torch: float
    by_artifact: float
    others: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="state", required=True, help="the state dict of the float network")
    parser.add_argument("--test", required=True, help="CIFAR-10 test images, .npz of JPEGs")
    parser.add_argument("--runs", type=Path, default=None, help="folder of all runs (default: $TERCET_RUNS or a cache)")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/results"), help="folder of the artifacts")
    parser.add_argument("--images", type=int, help="test images (default: all)")
    parser.add_argument("--rounds", type=int, default=25, help="of timing (default: 25)")
    options = parser.parse_args()
    for path in (options.state, options.test):
        if not Path(path).is_file():
            parser.error(f"there is no file '{path}'")
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    pixels, labels = pictures(options.test, options.images)
    images, start = normalise(pixels), load(options.state)
    networks = [Trained("start", start), *trained(options.runs or runs_folder())]
    results = []
    for network in networks:
        print(f"{network.setting}: compile, verify, run", file=sys.stderr, flush=True)
        results.append(measured(network, images, labels, options.output))
    peer = options.output / "float.onnx"
    onnx.save(to_onnx(start), peer)
    print(table(results, times(results, peer, images[:1], options.rounds)))
    return 1 if any(result.others > OTHERS for result in results) else 0


def measured(network: Trained, images: np.ndarray, labels: np.ndarray, folder: Path) -> Result:
    """Compiles a network and runs it. Raises SystemExit where an artifact does not compute what the network does."""
    artifacts = [folder / f"{network.setting}{end}.tercet" for end in ("", "-small")]
    inputs = folder / "verified.npz"
    np.savez(inputs, x=images[:VERIFIED])
    for path, goal in zip(artifacts, ("speed", "size"), strict=True):
        tercet.compile(network.module, path, example_inputs=EXAMPLE, dynamic_shapes=ANY_BATCH, optimize=goal)
        found = tercet.verify(path, network.module, EXAMPLE, dynamic_shapes=ANY_BATCH, inputs=inputs)
        if not found.ok:
            raise SystemExit(f"{path} does not compute what the network does: {found}")
    by_torch, by_artifact = classes_by_torch(network.module, images), classes_by_artifact(artifacts[0], images)
    right = [float((found == labels).mean()) for found in (by_torch, by_artifact)]
    return Result(network, artifacts[0], artifacts[1], right[0], right[1], int((by_torch != by_artifact).sum()))


@torch.no_grad()
def classes_by_torch(module: nn.Module, images: np.ndarray) -> np.ndarray:
    """int64 [N]"""
    logits = [module(torch.from_numpy(images[i : i + BATCH])) for i in range(0, len(images), BATCH)]
    return torch.cat(logits).argmax(1).numpy()


def classes_by_artifact(path: Path, images: np.ndarray) -> np.ndarray:
    """int64 [N]"""
    with tercet.load(path) as model:
        logits = [next(iter(model.run(images[i : i + BATCH]).values())) for i in range(0, len(images), BATCH)]
    return np.concatenate(logits).argmax(1)


def times(results: Sequence[Result], peer: Path, image: np.ndarray, rounds: int) -> list[list[float]]:
    """Seconds of an image in each round, on one thread, by each artifact and last by onnxruntime with the float
    network."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    with pinned(1), ExitStack() as models:
        session = ort.InferenceSession(peer, options, providers=["CPUExecutionProvider"])
        calls: list[Callable[[], Any]] = []
        for result in results:
            model = models.enter_context(tercet.load(result.artifact))
            calls.append(lambda model=model: model.run(image))
        return interleave([*calls, lambda: session.run(None, {"image": image})], rounds)


def table(results: Sequence[Result], seconds: Sequence[Sequence[float]]) -> str:
    """In Markdown; the first result is that of the float network."""
    titles = [
        "network", "epochs", "accuracy, torch", "artifact", "other class", "gap", "weights not 0", "speed to start",
        "to onnxruntime", "artifact, bytes", "library, packed, bytes", "CPU hours",
    ]  # fmt: skip
    rows = [titles, ["---"] * len(titles)]
    for result, ours in zip(results, seconds, strict=False):
        network, gap = result.network, result.by_artifact - results[0].by_artifact
        rows.append([
            network.setting, network.progress, f"{100 * result.by_torch:.2f} %",
            f"{100 * result.by_artifact:.2f} %", str(result.others), f"{100 * gap:+.2f}",
            f"{tercet.torch.density(network.module):.3f}", ratio(seconds[0], ours), ratio(seconds[-1], ours),
            str(result.artifact.stat().st_size), str(library(result.small)),
            f"{network.hours:.1f}" if network.planned else "",
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """How many times as fast ours is, of two that ran alternately: the median of the rounds, and quartiles."""
    spread = Spread.of_ratio(theirs, ours)
    return f"{spread.median:.2f} ({spread.lower:.2f} to {spread.upper:.2f})"


def library(path: Path) -> int:
    """Bytes of the shared library in an artifact."""
    with ZipFile(path) as file:
        return next(entry.file_size for entry in file.infolist() if entry.filename.endswith(".so"))


if __name__ == "__main__":
    sys.exit(main())
