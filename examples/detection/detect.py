"""Trains a small detector, float and then ternary, compiles both, checks and times the artifacts, and finds ellipses.

python examples/detection/detect.py [-o build/detection]

A training that was stopped goes on where it was; one that is finished is not repeated.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import numpy as np
import torch
from artifacts import EXAMPLE, compiled, table
from boxes import Found, average_precision, decode, loss
from model import Detector
from shapes import TEST_SEED, Shapes, draw
from torch import nn

import tercet

RATE = 0.05
VERIFIED = 32
"""Pictures on which artifacts must compute what the networks do."""
SHADES = " .:-=+*#%@"
SAME = 0.002
"""So much may the average precision of an artifact differ from torch's. Sums in another order round differently, and
what is nearly at a threshold may become another value."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/detection"), help="folder of all that is made")
    parser.add_argument("--epochs", type=int, default=12, help="of each of the two trainings (default: 12)")
    parser.add_argument("--pictures", type=int, default=2048, help="of an epoch (default: 2048)")
    parser.add_argument("--test", type=int, default=1000, help="test pictures (default: 1000)")
    parser.add_argument("--rounds", type=int, default=25, help="in which artifacts are timed (default: 25)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    options.output.mkdir(parents=True, exist_ok=True)
    data, tests = Shapes(options.pictures, options.test), options.output / "pictures.npz"
    images = draw(VERIFIED, TEST_SEED).images
    np.savez(tests, image=images.numpy())
    net, networks = Detector(), []
    for scheme in ("float", "ternary"):
        print(f"{scheme}: train, compile, verify", flush=True)
        run = options.output / f"{scheme}-{options.pictures}-{options.epochs}"
        net = trained(scheme, net, data, options.epochs, run)
        networks.append(compiled(scheme, net, data, tests, options.output))
    print(table(networks, images[:1], options.rounds, options.output))
    with tercet.load(networks[-1].path) as model:
        (logits,) = model.run(images.numpy()).values()
    found = decode(torch.from_numpy(logits))
    best = max(range(VERIFIED), key=lambda i: len(found[i].boxes))
    print(drawn(images[best].numpy(), found[best]))
    return 0 if all(abs(a - b) <= SAME for a, b in (network.precision for network in networks)) else 1


def trained(scheme: str, start: nn.Module, data: Shapes, epochs: int, run: Path) -> nn.Module:
    """A copy of a float network under a scheme of quantization, trained, in evaluation mode."""
    module = tercet.torch.prepare(copy.deepcopy(start), scheme, example_inputs=(EXAMPLE,))
    recipe = tercet.torch.Recipe.one_stage(epochs, RATE, compiled=False)
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    tercet.torch.train(module, data, recipe, run, loss=loss, metric=average_precision)
    return module.eval()


def drawn(image: np.ndarray, found: Found) -> str:
    """A picture [3, SIDE, SIDE] as text, a line for two rows, with a frame for each box; then the boxes. It is the
    darker, the further its colour is from the usual one."""
    distance = np.abs(image - np.median(image, axis=(1, 2), keepdims=True)).mean(0)
    shades = ((2 * distance).clip(0, 0.999) * len(SHADES)).astype(int)[::2]
    text = np.array(list(SHADES))[shades]
    for left, top, right, bottom in (found.boxes / torch.tensor([1, 2, 1, 2])).round().int().tolist():
        rows, columns = slice(max(top, 0), bottom + 1), slice(max(left, 0), right + 1)
        text[rows, [max(left, 0), min(right, len(text[0]) - 1)]] = "|"
        text[[max(top, 0), min(bottom, len(text) - 1)], columns] = "_"
    lines = ["".join(row) for row in text]
    for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
        lines.append(f"ellipse, score {score:.2f}: from x {box[0]:.1f}, y {box[1]:.1f} to {box[2]:.1f}, {box[3]:.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
