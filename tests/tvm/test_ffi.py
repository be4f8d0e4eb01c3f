"""The library of the C backend, called through tvm-ffi with tensors of numpy and of torch, without copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tvm_ffi", reason="tvm-ffi is not installed (pip install 'tercet[tvm]')")

import tvm_ffi

import tercet

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
IMAGES = np.load(DIGITS / "digits_test.npz")["image"][:5].astype(np.float32)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ffi") / "digits.tercet"
    tercet.compile(DIGITS / "digits_ternary.onnx", path, as_directory=True)
    return path


@pytest.fixture(scope="module")
def module(artifact: Path) -> Any:
    return tvm_ffi.load_module(str(artifact / "lib" / "libdigits_ternary.so"))


@pytest.fixture
def model(module: Any) -> Iterator[Any]:
    made = module.digits_ternary_create()
    yield made
    module.digits_ternary_destroy(made)


@pytest.fixture(scope="module")
def logits(artifact: Path) -> np.ndarray:
    with tercet.load(artifact) as loaded:
        return loaded.run(IMAGES)["logits"]


def test_numpy(module: Any, model: Any, logits: np.ndarray) -> None:
    found = np.full((5, 10), np.nan, np.float32)
    module.digits_ternary_run(model, IMAGES, found)
    np.testing.assert_array_equal(found, logits)
    module.digits_ternary_run(model, IMAGES[1:2], found[:1])  # views, of the first axis: dense, with an offset
    np.testing.assert_array_equal(found[0], logits[1])
    module.digits_ternary_run(model, IMAGES[:0], found[:0])
    module.digits_ternary_run(model, np.zeros((0, 1, 8, 8), np.float32), np.zeros((0, 10), np.float32))


def test_torch(module: Any, logits: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'tercet[torch]')")
    model, found = module.digits_ternary_create(2), torch.full((5, 10), torch.nan)
    module.digits_ternary_run(model, torch.from_numpy(IMAGES), found)
    np.testing.assert_array_equal(found.numpy(), logits)
    module.digits_ternary_destroy(model)


EXPECTED = "expected a dense tensor on the CPU of float32"


@pytest.mark.parametrize(
    ("image", "logits", "message"),
    [
        (IMAGES[..., :4].copy(), np.zeros((5, 10)), rf"'image': {EXPECTED} \[N, 1, 8, 8\], N = 5, got .*, 1, 8, 4\]"),
        (IMAGES.astype(np.float64), np.zeros((5, 10)), "got float64"),
        (IMAGES[:, 0].copy(), np.zeros((5, 10)), r"got float32 \[5, 8, 8\]"),
        (IMAGES[::2], np.zeros((3, 10)), r"got float32 \[3, 1, 8, 8\], not dense"),
        (IMAGES, np.zeros((4, 10)), rf"output 'logits': {EXPECTED} \[N, 10\], N = 5, got float32 \[4, 10\]"),
        (IMAGES, 3, "got no tensor"),
    ],
)
def test_wrong_tensors(module: Any, model: Any, image: Any, logits: Any, message: str) -> None:
    output = logits.astype(np.float32) if isinstance(logits, np.ndarray) else logits
    with pytest.raises(ValueError, match=message):
        module.digits_ternary_run(model, image, output)


def test_wrong_calls(module: Any, model: Any) -> None:
    with pytest.raises(TypeError, match="run: expected what create gave, then 1 inputs and 1 outputs"):
        module.digits_ternary_run(model, IMAGES)
    with pytest.raises(TypeError, match="create: expected the number of threads"):
        module.digits_ternary_create("two")
    with pytest.raises(ValueError, match="thread count out of range"):
        module.digits_ternary_create(0)
    with pytest.raises(TypeError, match="destroy: expected what create gave"):
        module.digits_ternary_destroy(7)
