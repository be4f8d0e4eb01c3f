"""What a compiled quantized model computes beside onnxruntime with graph optimisation off.

python -m tests.quantized_models.figures --models ic resnet20 --count 5000 --output figures.md
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported

import numpy as np

import tercet
from tercet.runtime.check.ort import open_session

from .networks import NETWORKS, Network, Shared
from .quantizers import QUANTIZERS, quantized

CALIBRATION, VERIFIED, TRACED = 32, 16, 100
"""Samples to calibrate with, and to verify the artifact on: the first ones, and so many of those that differ,
those with another top-1 first."""
CLOSE = 1e-5
"""Floats are equal within this part of the largest."""


@dataclass(frozen=True)
class Figures:
    """same: the share of samples whose largest output is at the same place, or of equal outputs of an image.

    accuracy, reference: of labels, by tercet and by onnxruntime; None without labels. differing: samples with any
    output that is not equal; traced: those of them that verify saw, and explained by ties if `verified`.
    """

    network: str
    quantizer: str
    samples: int
    verified: bool
    same: float
    differing: int
    traced: int
    accuracy: float | None
    reference: float | None
    seconds: float

    @property
    def accuracy_loss(self) -> float:
        """Points."""
        if self.accuracy is None or self.reference is None:
            return 0.0
        return 100 * (self.reference - self.accuracy)

    @property
    def row(self) -> str:
        accuracy = "" if self.accuracy is None else f"{100 * self.accuracy:.2f} | {100 * (self.reference or 0):.2f}"
        return (
            f"| {self.network} | {self.quantizer} | {'passes' if self.verified else 'DIFFERS'} | "
            f"{100 * self.same:.2f} | {self.differing} of {self.samples} | {self.traced} | "
            f"{accuracy or ' | '} | {self.seconds:.0f} |"
        )


HEAD = (
    "| model | quantizer | verify | same top-1 (espcn: outputs) % | samples that differ | traced | accuracy % | "
    "onnxruntime % | compiled in s |\n|---|---|---|---|---|---|---|---|---|"
)


def measure(name: str, network: Network, quantizer: str, folder: Path) -> Figures:
    """Quantizes, compiles, verifies and runs one network."""
    model = quantized(network, quantizer, folder)
    made = tercet.compile(model, folder / "model.tercet")
    samples = folder / "samples.npz"
    with tercet.load(made.path) as loaded:
        (port,), (output,), batched = loaded.inputs, loaded.outputs, loaded.manifest.batched
        x = network.inputs
        have = np.concatenate([loaded.run({port.name: sample[None]})[output.name] for sample in x])
    (want,) = onnxruntime(model, x).values()
    have, want = have.reshape(len(x), -1), want.reshape(len(x), -1)
    unequal = np.abs(have - want) > CLOSE * np.abs(want).max()
    top, best = have.argmax(axis=1), want.argmax(axis=1)
    differing = np.flatnonzero(unequal.any(axis=1))
    traced = differing[np.argsort((top == best)[differing], kind="stable")][:TRACED]
    chosen = x[np.union1d(traced, np.arange(min(VERIFIED, len(x))))]
    np.savez(samples, allow_pickle=False, **{port.name: chosen if batched else chosen[:, None]})
    verified = tercet.verify(made.path, model, inputs=samples).ok
    labels = network.labels
    return Figures(
        name, quantizer, len(x), verified,
        same=float(1 - unequal.mean()) if network.image else float((top == best).mean()),
        differing=len(differing),
        traced=len(traced),
        accuracy=None if labels is None else float((top == labels).mean()),
        reference=None if labels is None else float((best == labels).mean()),
        seconds=sum(seconds for _, seconds in made.stages),
    )  # fmt: skip


def onnxruntime(model: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs, sample by sample, without graph optimisation. x: [samples, ...] of the only input."""
    session = open_session(model, optimize=False)
    results = [session.run({session.inputs[0]: sample[None]}) for sample in x]
    return {port: np.concatenate([result[port] for result in results]) for port in session.outputs}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=os.environ.get("TERCET_MODELS", "../shared/models"))
    parser.add_argument("--models", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--quantizers", nargs="+", default=list(QUANTIZERS), choices=QUANTIZERS)
    parser.add_argument("--count", type=int, default=1000, help="samples (default: 1000)")
    parser.add_argument("--output", type=Path, help="append the table to this file, too")
    options = parser.parse_args(arguments)

    def tell(line: str) -> None:
        print(line, flush=True)
        if options.output is not None:
            with options.output.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    tell(HEAD)
    for name in options.models:
        network = NETWORKS[name](Shared(options.shared, CALIBRATION, options.count))
        for quantizer in options.quantizers:
            with tempfile.TemporaryDirectory() as folder:
                tell(measure(name, network, quantizer, Path(folder)).row)


if __name__ == "__main__":
    main()
