"""Networks as onnxruntime's tools quantize them: they compile, `verify` passes, and they are as good as there."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from .figures import CALIBRATION, HEAD, Figures, measure
from .networks import NETWORKS, RESNET20, Network, Shared
from .quantizers import QUANTIZERS

SAMPLE = [("espcn", "QDQ-channel-u8s8"), ("kws", "QOperator-channel-s8s8"), ("espcn", "dynamic-channel-s8")]
"""A network of each kind of file, among those that compile quickly."""
SAME, MOST_POINTS = 0.995, 0.25


def check(figures: Figures) -> None:
    assert figures.verified, figures.row
    if figures.accuracy is None:
        assert figures.same >= SAME, figures.row
    else:
        assert abs(figures.accuracy_loss) <= MOST_POINTS, figures.row


def network(models: Path, name: str, count: int) -> Network:
    """Skips where what it needs is not here."""
    pytest.importorskip("PIL")
    if name == "resnet20":
        pytest.importorskip("torch")
        if not (models / RESNET20).exists():
            pytest.skip("the shared models lack ResNet-20")
    return NETWORKS[name](Shared(models, CALIBRATION, count))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "quantizer"), SAMPLE)
def test_sample(name: str, quantizer: str, models: Path, tmp_path: Path) -> None:
    check(measure(name, network(models, name, 100), quantizer, tmp_path))


@pytest.mark.nightly
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_all(name: str, quantizer: str, models: Path, tmp_path: Path) -> None:
    """All 5000 photographs where there are labels, else 1000 inputs."""
    count = 5000 if name in ("ic", "resnet20") else 1000
    figures = measure(name, network(models, name, count), quantizer, tmp_path)
    print(f"\n{HEAD}\n{figures.row}")
    check(figures)
