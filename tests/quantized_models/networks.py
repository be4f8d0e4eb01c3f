"""The float networks that are quantized here, with inputs to calibrate and to measure them on.

Inputs: CIFAR-10 photographs (enlarged for the visual wake words, cut for super-resolution) and the features of spoken
words. Labels are known for the two networks that were trained on those photographs.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import version_converter

RESNET20 = "resnet20_recompressed.pt"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KWS_SCALE, KWS_ZERO = 0.5847029, 83
"""How the samples of spoken words are stored: int8 features."""
OPSET = 13
"""The first with scales for each channel, which the quantizer wants."""


@dataclass(frozen=True)
class Network:
    """calibration, inputs: float32 [samples, ...]. labels: int64 [samples], or None. image: the output is a picture."""

    model: onnx.ModelProto
    calibration: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray | None = None
    image: bool = False


@dataclass(frozen=True)
class Shared:
    """The shared models and data, and how many samples of each are read."""

    models: Path
    calibration: int
    count: int

    @property
    def data(self) -> Path:
        return self.models.parent / "data"

    def photographs(self, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 [count, 3, 32, 32] and labels int64 [count]."""
        from PIL import Image

        with np.load(self.data / f"cifar10_{name}.npz") as file:
            data, offset, label = file["jpeg"], file["offset"], file["label"][:count]
        files = (io.BytesIO(data[offset[i] : offset[i + 1]].tobytes()) for i in range(len(label)))
        return np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files]).transpose(0, 3, 1, 2), label


def _normalised(pixels: np.ndarray) -> np.ndarray:
    mean, deviation = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    return ((pixels.astype(np.float32) / np.float32(255) - mean) / deviation).astype(np.float32)


def _photographs(shared: Shared, model: onnx.ModelProto, prepare: Callable[[np.ndarray], np.ndarray]) -> Network:
    calibration, _ = shared.photographs("train", shared.calibration)
    inputs, labels = shared.photographs("test", shared.count)
    return Network(model, prepare(calibration), prepare(inputs), labels)


def _ic(shared: Shared) -> Network:
    return _photographs(shared, _loaded(shared.models / "alibaba_model_ic.onnx"), _normalised)


def _resnet20(shared: Shared) -> Network:
    return _photographs(shared, resnet20(shared.models / RESNET20), _normalised)


def _vww(shared: Shared) -> Network:
    def prepare(pixels: np.ndarray) -> np.ndarray:
        return _normalised(pixels.repeat(3, axis=2).repeat(3, axis=3))

    made = _photographs(shared, _loaded(shared.models / "alibaba_model_vww.onnx"), prepare)
    return Network(made.model, made.calibration, made.inputs)


def _espcn(shared: Shared) -> Network:
    def prepare(pixels: np.ndarray) -> np.ndarray:
        return (pixels[:, :, 8:12, 8:12].astype(np.float32) / np.float32(255)).astype(np.float32)

    made = _photographs(shared, _loaded(shared.models / "espcn_subpixel" / "float_model.onnx"), prepare)
    return Network(made.model, made.calibration, made.inputs, image=True)


def _kws(shared: Shared) -> Network:
    with tarfile.open(shared.models / "kws_samples.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        files = [archive.extractfile(m) for m in members[: max(shared.count, shared.calibration)]]
        stored = np.stack([np.frombuffer(f.read(), np.int8) for f in files if f is not None])
    x = (stored.astype(np.float32) - np.float32(KWS_ZERO)) * np.float32(KWS_SCALE)
    x = x.reshape(-1, 49, 10, 1)
    model = _loaded(shared.models / "alibaba_model_kws.onnx")
    return Network(model, x[: shared.calibration], x[: shared.count])


NETWORKS: dict[str, Callable[[Shared], Network]] = {
    "ic": _ic,
    "kws": _kws,
    "vww": _vww,
    "espcn": _espcn,
    "resnet20": _resnet20,
}


def _loaded(path: Path) -> onnx.ModelProto:
    model = onnx.load(path)
    old = next(o.version for o in model.opset_import if o.domain == "") < OPSET
    return version_converter.convert_version(model, OPSET) if old else model


def resnet20(state: Path) -> onnx.ModelProto:
    """ResNet-20 with these weights as torch exports it: image [batch, 3, 32, 32] -> logits [batch, 10]."""
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

    def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = convolution(inputs, outputs, stride), nn.BatchNorm2d(outputs)
            self.conv2, self.bn2 = convolution(outputs, outputs), nn.BatchNorm2d(outputs)
            self.stride, self.added = stride, (outputs - inputs) // 2

        def forward(self, x: Tensor) -> Tensor:
            shortcut = x[:, :, :: self.stride, :: self.stride]
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.added, self.added))
            y = functional.relu(self.bn1(self.conv1(x)))
            return functional.relu(self.bn2(self.conv2(y)) + shortcut)

    class ResNet20(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = convolution(3, 16), nn.BatchNorm2d(16)
            widths = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
            self.layer1, self.layer2, self.layer3 = (
                nn.Sequential(Block(a, b, s), Block(b, b, 1), Block(b, b, 1)) for a, b, s in widths
            )
            self.linear = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            y = functional.relu(self.bn1(self.conv1(x)))
            y = self.layer3(self.layer2(self.layer1(y)))
            return self.linear(y.mean(dim=(2, 3)))

    net = ResNet20()
    net.load_state_dict(torch.load(state, map_location="cpu", weights_only=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resnet20.onnx"
        torch.onnx.export(
            net.eval(), (torch.zeros(1, 3, 32, 32),), str(path), dynamo=False, opset_version=OPSET,
            input_names=["image"], output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )  # fmt: skip
        return onnx.load(path)
