"""Compiles a float CIFAR-10 network with several kinds of weights and counts how often each artifact is right.

python examples/resnet20/evaluate.py build/resnet20.onnx --calibrate build/calibration.npz --test build/test.npz
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import tercet

METHODS = ("keep", "twn", "ternary", "ttq", "uniform", "asymmetric")
BATCH = 100


def accuracy(artifact: Path, images: np.ndarray, labels: np.ndarray) -> float:
    hits = 0
    with tercet.load(artifact) as model:
        (logits,) = (port.name for port in model.outputs)
        for i in range(0, len(labels), BATCH):
            scores = model.run(images[i : i + BATCH])[logits]
            hits += int((scores.argmax(axis=1) == labels[i : i + BATCH]).sum())
    return hits / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a float .onnx model, images in, class scores out")
    parser.add_argument("--calibrate", required=True, help="an .npz file with `image`")
    parser.add_argument("--test", required=True, help="an .npz file with `image` and `label`")
    parser.add_argument("--methods", nargs="+", default=METHODS, help=f"default: {' '.join(METHODS)}")
    parser.add_argument("--fit", choices=("weights", "outputs"), default="outputs", help="what weights are fitted to")
    parser.add_argument("--per", choices=("tensor", "channel"), default="channel", help="what shares a scale")
    parser.add_argument("--keep", action="append", default=[], help="layers to leave alone")
    parser.add_argument(
        "--activations", choices=("keep", "int8", "int4", "ternary"), default="keep", help="what changed layers read"
    )
    parser.add_argument("--calibration", type=int, default=128, help="calibration images (default: 128)")
    parser.add_argument("--images", type=int, help="test images (default: all)")
    options = parser.parse_args()
    with np.load(options.calibrate) as file:
        calibration = file["image"][: options.calibration]
    with np.load(options.test) as file:
        images, labels = file["image"][: options.images], file["label"][: options.images]
    print("| weights | accuracy | output SNR | same top class | zeros |\n| --- | --- | --- | --- | --- |")
    for method in options.methods:
        lossy = method != "keep"
        keep = tuple(options.keep) if lossy else ()
        activations = options.activations if lossy else "keep"
        weights = tercet.LossyOptions(method, options.per, keep, fit=options.fit, activations=activations)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tercet"
            made = tercet.compile(options.model, path, weights=weights, calibrate=calibration if lossy else None)
            right = accuracy(path, images, labels)
        row = f"| {method} | {100 * right:.2f} % "
        if (losses := made.losses) is not None and losses.output_snr is not None and losses.agreement is not None:
            changed = [layer for layer in losses.layers if not layer.kept]
            zeros = sum(layer.zeros * layer.weights for layer in changed) / sum(layer.weights for layer in changed)
            row += f"| {losses.output_snr:.1f} dB | {100 * losses.agreement:.1f} % | {100 * zeros:.0f} % |"
        print(row if made.losses else f"{row}| | | |", flush=True)


if __name__ == "__main__":
    main()
