"""Writes the float ResNet-20 as ONNX, checks it against torch, and writes calibration and test images.

python examples/resnet20/export.py resnet20-12fca82f.th --train cifar10_train.npz --test cifar10_test.npz -o build
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before onnxruntime is imported

import numpy as np
import onnx
import onnxruntime as ort
import torch

# isort: split
from data import normalise, pictures
from model import load, to_onnx

CALIBRATION = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", help="the state dict, resnet20-12fca82f.th")
    parser.add_argument("--train", help="training images, of which some are for calibration")
    parser.add_argument("--test", help="test images")
    parser.add_argument("--calibration", type=int, default=CALIBRATION, help=f"how many (default: {CALIBRATION})")
    parser.add_argument("-o", "--output", type=Path, default=Path("."), help="folder (default: this one)")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    net, path = load(options.state), options.output / "resnet20.onnx"
    onnx.save(to_onnx(net), path)
    x = np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        want = net(torch.from_numpy(x)).numpy()
    have = np.asarray(ort.InferenceSession(path).run(None, {"image": x})[0])
    difference = float(np.abs(want - have).max() / np.abs(want).max())
    print(f"{path}: {difference:.1e} from torch")
    if difference > 1e-5:
        raise SystemExit("the ONNX graph does not compute what torch does")
    for name, source, count in (("calibration", options.train, options.calibration), ("test", options.test, None)):
        if source is not None:
            images, labels = pictures(source, count)
            np.savez_compressed(options.output / f"{name}.npz", image=normalise(images), label=labels)
            print(f"{options.output / name}.npz: {len(labels)} images")


if __name__ == "__main__":
    main()
