"""Train the ternary digits network and write `digits_ternary.onnx` and `digits_test.npz`.

    python examples/digits/train.py --epochs 150 --out digits_ternary.onnx

`--float` trains the float network of the same shape instead, prints its accuracy and writes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

# isort: split
from export import run_onnx, to_onnx
from model import Conv, DigitsNet, Linear, ternarize

HERE = Path(__file__).resolve().parent
SPLIT_SEED = 0  # apart from --seed: every training is tested on the same images
BATCH = 64


def load_split() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Train and test image (float32 [n, 1, 8, 8], integers 0..16) and label (int64 [n]); 1437 and 360."""
    data = load_digits()
    image = data.images.astype(np.float32)[:, None]
    label = data.target.astype(np.int64)
    split = train_test_split(image, label, test_size=0.2, stratify=label, random_state=SPLIT_SEED)
    train_image, test_image, train_label, test_label = (torch.from_numpy(part) for part in split)
    return train_image, train_label, test_image, test_label


def shift(image: Tensor) -> Tensor:
    """Move each image of [n, 1, 8, 8] by -1, 0 or 1 pixels on each axis; what comes in is 0."""
    n, _, height, width = image.shape
    padded = F.pad(image, (1, 1, 1, 1))[:, 0]
    rows = torch.randint(0, 3, (n, 1, 1)) + torch.arange(height).reshape(1, -1, 1)
    columns = torch.randint(0, 3, (n, 1, 1)) + torch.arange(width).reshape(1, 1, -1)
    return padded[torch.arange(n).reshape(-1, 1, 1), rows, columns][:, None]


def train(net: DigitsNet, image: Tensor, label: Tensor, epochs: int) -> None:
    """Train in place with Adam; the rate falls to zero, so the ternary codes settle before the end."""
    steps = len(image) // BATCH  # a short last batch is left out: its statistics would be noisy
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=epochs * steps)
    net.train()
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(image))[: steps * BATCH].split(BATCH):
            loss = F.cross_entropy(net(shift(image[chosen])), label[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if (epoch + 1) % 10 == 0 or epoch + 1 == epochs:
            print(f"epoch {epoch + 1:4d}  train loss {total / steps:.4f}", flush=True)


@torch.no_grad()
def predict(net: DigitsNet, image: Tensor) -> Tensor:
    """Logits float32 [n, 10] with the trained statistics."""
    net.eval()
    return net(image)


def accuracy(logits: np.ndarray, label: np.ndarray) -> str:
    """Right answers of logits [n, 10] against label [n], as text."""
    right = int((logits.argmax(1) == label).sum())
    return f"{right}/{len(label)} = {100 * right / len(label):.2f} %"


def print_layers(net: DigitsNet) -> None:
    """The ternary layers as a Markdown table."""
    print("| layer | weight shape | weights | zeros |\n|---|---|---:|---:|")
    for name, layer in net.named_modules():
        if isinstance(layer, Conv | Linear):
            codes, _ = ternarize(layer.weight.detach())
            zeros = 100 * (codes == 0).float().mean().item()
            shape = " x ".join(map(str, codes.shape))
            print(f"| {name.removesuffix('.layer')} | {shape} | {codes.numel()} | {zeros:.1f} % |")


def export_and_verify(net: DigitsNet, image: Tensor, label: Tensor, out: Path) -> None:
    """Write the ONNX file, check onnxruntime against torch on the test split, write the test data."""
    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(net), out)
    expected = predict(net, image).numpy()
    logits = run_onnx(out, image.numpy())
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    print(f"onnxruntime test accuracy {accuracy(logits, label.numpy())}")
    print(f"largest difference of a logit from torch {np.abs(logits - expected).max():.1e}")
    data = out.with_name("digits_test.npz")
    np.savez_compressed(data, image=image.numpy(), label=label.numpy(), logits=logits)
    for file in (out, data):
        print(f"{file} {file.stat().st_size} bytes")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train and export the ternary digits network.")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0, help="of the weights, batches and shifts")
    parser.add_argument("--out", type=Path, default=HERE / "digits_ternary.onnx", metavar="FILE")
    parser.add_argument("--float", action="store_true", help="train the float network, write nothing")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)  # a fixed order of float sums: the same seed gives the same file
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(arguments.seed)
    train_image, train_label, test_image, test_label = load_split()
    net = DigitsNet(quantized=not arguments.float)
    train(net, train_image, train_label, arguments.epochs)
    print(f"torch test accuracy {accuracy(predict(net, test_image).numpy(), test_label.numpy())}")
    if not arguments.float:
        print_layers(net)
        export_and_verify(net, test_image, test_label, arguments.out)


if __name__ == "__main__":
    main()
