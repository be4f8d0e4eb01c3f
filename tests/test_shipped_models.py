"""The trained networks in examples/: small, exact, and what their READMEs say of them."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import tercet

TERNARY = Path(__file__).parents[1] / "examples" / "resnet20" / "resnet20_ternary.onnx"
MOST_BYTES = 300_000


def test_the_ternary_resnet20_is_small() -> None:
    model = onnx.load(TERNARY)
    stored = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    integers = [values.astype(np.int64) for values in stored if values.ndim > 1 and values.dtype.kind not in "fb"]
    assert TERNARY.stat().st_size < MOST_BYTES
    assert len(integers) == 18 and all(set(np.unique(values)) == {-1, 0, 1} for values in integers)


@pytest.mark.slow
def test_the_ternary_resnet20_for_size(tmp_path: Path) -> None:
    path = tmp_path / "small.tercet"
    tercet.compile(TERNARY, path, optimize="size")
    with ZipFile(path) as file:
        (library,) = (entry.file_size for entry in file.infolist() if entry.filename.endswith(".so"))
    assert library < MOST_BYTES
    assert tercet.verify(path, TERNARY).ok
    layers = [layer for layer in tercet.inspect(path).layers if "ternary" in layer.weights]
    assert len(layers) == 18 and "loops" not in {layer.engine for layer in layers}
