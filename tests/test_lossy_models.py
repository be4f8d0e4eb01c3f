"""Post-training ternarization of a real float network on real images."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tercet.api import LossyOptions, compile, load

EXAMPLE = Path(__file__).parents[1] / "examples" / "resnet20"
CALIBRATION, IMAGES = 128, 500


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"resnet20_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    with load(path) as model:
        (scores,) = model.run(images).values()
    return float((scores.argmax(axis=1) == labels).mean())


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["alibaba", "resnet20"])
def test_ternary_keeps_most_of_the_accuracy(name: str, models: Path, tmp_path: Path) -> None:
    """alibaba: the layers that `sensitivity` calls the most sensitive stay, which hold 2 % of the weights."""
    pytest.importorskip("PIL")
    data, folder = example("data"), models.parent / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared CIFAR-10 images")
    if name == "resnet20":
        pytest.importorskip("torch")
        network = example("model")
        source = network.to_onnx(network.load(models / "resnet20-12fca82f.th"))
    else:
        source = models / "alibaba_model_ic.onnx"
    calibration = data.normalise(data.pictures(folder / "cifar10_train.npz", CALIBRATION)[0])
    pictures, labels = data.pictures(folder / "cifar10_test.npz", IMAGES)
    images = data.normalise(pictures)
    compile(source, tmp_path / "float.tercet")
    lossy = LossyOptions("ttq", keep=("input_stem.*", "blocks.0.*") if name == "alibaba" else ())
    made = compile(source, tmp_path / "lossy.tercet", weights=lossy, calibrate=calibration)
    assert made.losses is not None and made.losses.agreement is not None
    want, have = (accuracy(tmp_path / f"{kind}.tercet", images, labels) for kind in ("float", "lossy"))
    assert want > 0.75
    assert have > want - (0.18 if name == "alibaba" else 0.08)
