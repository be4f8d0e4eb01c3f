"""Writes the best network with ternary weights and activations of all finished runs as ONNX: its weights are integers
of 4 bits, its quantizers QuantizeLinear, Clip and DequantizeLinear (QCDQ).

python examples/resnet20/ship.py --test cifar10_test.npz -o resnet20_ternary.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from data import normalise, pictures
from onnx import numpy_helper
from results import OTHERS, classes_by_artifact, classes_by_torch
from train import SETTINGS, runs_folder
from trained import ANY_BATCH, EXAMPLE, Trained, trained

import tercet

MOST_BYTES = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", required=True, help="CIFAR-10 test images, .npz of JPEGs")
    parser.add_argument("--images", type=int, help="test images (default: all)")
    parser.add_argument("--runs", type=Path, default=None, help="folder of all runs (default: $TERCET_RUNS or a cache)")
    parser.add_argument("--unfinished", action="store_true", help="take runs that are not finished, too")
    parser.add_argument("-o", "--output", type=Path, default=Path("resnet20_ternary.onnx"), help="the ONNX file")
    options = parser.parse_args()
    if not Path(options.test).is_file():
        parser.error(f"there is no file '{options.test}'")
    torch.set_num_threads(1)
    runs = options.runs or runs_folder()
    best = max(_candidates(runs, unfinished=options.unfinished), key=lambda network: network.accuracy, default=None)
    if best is None:
        parser.error(f"no run with the scheme 'ternary' in '{runs}' is finished; --unfinished takes others")
    model = tercet.export(best.module, options.output, example_inputs=EXAMPLE, dynamic_shapes=ANY_BATCH, dialect="qcdq")
    size, ternary = options.output.stat().st_size, ternary_weights(model)
    layers = len(list(tercet.torch.quantized_layers(best.module)))
    pixels, labels = pictures(options.test, options.images)
    images = normalise(pixels)
    artifact = options.output.with_suffix(".tercet")
    tercet.compile(options.output, artifact)
    found = classes_by_artifact(artifact, images)
    others = int((found != classes_by_torch(best.module, images)).sum())
    print(f"{options.output}: {best.setting}, {best.progress} epochs, {size} bytes, {ternary} tensors of -1, 0 and 1")
    print(f"{100 * (found == labels).mean():.2f} % right; {others} of {len(labels)} in another class than by torch")
    if not tercet.verify(artifact, options.output).ok or size > MOST_BYTES or ternary != layers or others > OTHERS:
        raise SystemExit(
            f"expected {layers} ternary tensors, at most {MOST_BYTES} bytes and {OTHERS} images in another class, "
            "and an artifact that computes what the ONNX model does"
        )


def _candidates(runs: Path, *, unfinished: bool) -> list[Trained]:
    named = [network for network in trained(runs) if SETTINGS[network.setting].scheme == "ternary"]
    return [network for network in named if network.finished or unfinished]


def ternary_weights(model: onnx.ModelProto) -> int:
    """How many tensors of integers hold nothing but -1, 0 and 1."""
    stored = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    integers = [values.astype(np.int64) for values in stored if values.dtype.kind not in "fb" and values.ndim > 1]
    return sum(bool(np.isin(values, (-1, 0, 1)).all()) for values in integers)


if __name__ == "__main__":
    main()
