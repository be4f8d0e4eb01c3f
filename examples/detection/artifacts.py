"""Detectors as artifacts: compiled, verified, and measured beside each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before onnxruntime is imported

import onnxruntime as ort
import torch

# isort: split
from boxes import SIDE, average_precision
from shapes import Shapes
from torch import Tensor, nn

import tercet
from tercet.runtime.check.timing import Spread, interleave, pinned

EXAMPLE = torch.zeros(2, 3, SIDE, SIDE)
ANY_BATCH = ({0: torch.export.Dim("batch")},)


@dataclass(frozen=True)
class Compiled:
    """A network and its artifact. small: with packed weights only, `--optimize size`. precision: the average precision
    on the test pictures, by torch and by the artifact."""

    name: str
    module: nn.Module
    path: Path
    small: Path
    precision: tuple[float, float]


def compiled(name: str, module: nn.Module, data: Shapes, pictures: Path, folder: Path) -> Compiled:
    """Compiles a network, in evaluation mode. pictures: an .npz file with `image`, to verify on.

    Raises SystemExit where an artifact does not compute what the network does.
    """
    path, small = folder / f"{name}.tercet", folder / f"{name}-small.tercet"
    for output, goal in ((path, "speed"), (small, "size")):
        tercet.compile(module, output, example_inputs=EXAMPLE, dynamic_shapes=ANY_BATCH, optimize=goal)
        found = tercet.verify(output, module, EXAMPLE, dynamic_shapes=ANY_BATCH, inputs=pictures)
        if not found.ok:
            raise SystemExit(f"{output} does not compute what the network does: {found}")
    by_torch = average_precision(tercet.torch.predictions(module, data.test()))
    return Compiled(name, module, path, small, (by_torch, average_precision(_predictions(path, data))))


def _predictions(path: Path, data: Shapes) -> Iterator[tuple[Tensor, Tensor]]:
    with tercet.load(path) as model:
        for images, grids in data.test():
            (logits,) = model.run(images.numpy()).values()
            yield torch.from_numpy(logits), grids


def table(networks: Sequence[Compiled], image: Tensor, rounds: int, folder: Path) -> str:
    """Of several networks, the float one first, in Markdown. image: the one that is timed."""
    lines = [
        "| network | AP, torch | AP, artifact | weights not 0 | bytes of weights, packed | library | library, packed "
        "| speed to the float artifact | speed to onnxruntime, float |",
        "| --- " * 9 + "|",
    ]
    times = _times(networks, image, rounds, folder)
    for network, seconds in zip(networks, times, strict=False):
        density = tercet.torch.density(network.module)
        sizes = [_library(path) for path in (network.path, network.small)]
        ratios = [_ratio(times[i], seconds) for i in (0, -1)]
        cells = [network.name, *(f"{p:.3f}" for p in network.precision), f"{density:.2f}", f"{_weights(network.small)}"]
        lines.append(f"| {' | '.join([*cells, *map(str, sizes), *ratios])} |")
    return "\n".join(lines)


def _times(networks: Sequence[Compiled], image: Tensor, rounds: int, folder: Path) -> list[list[float]]:
    """Seconds of one picture in each round, by each artifact and by onnxruntime with the float network; one thread."""
    path = folder / "float.onnx"
    tercet.export(networks[0].module, path, example_inputs=EXAMPLE, dynamic_shapes=ANY_BATCH)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    with pinned(1), ExitStack() as open_models:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (port,) = session.get_inputs()
        calls: list[Callable[[], Any]] = []
        for network in networks:
            model = open_models.enter_context(tercet.load(network.path))
            calls.append(lambda model=model: model.run(image.numpy()))
        return interleave([*calls, lambda: session.run(None, {port.name: image.numpy()})], rounds)


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """How many times as fast ours is, of two that ran alternately: the median of the rounds, and quartiles."""
    spread = Spread.of_ratio(theirs, ours)
    return f"{spread.median:.2f} ({spread.lower:.2f} to {spread.upper:.2f})"


def _weights(path: Path) -> int:
    """Bytes of the weights as they are stored."""
    with tercet.load(path) as model:
        return sum(layer.weight_bytes_stored for layer in model.layers)


def _library(path: Path) -> int:
    with ZipFile(path) as file:
        return next(entry.file_size for entry in file.infolist() if entry.filename.endswith(".so"))
