"""The library of the C backend, called through tvm-ffi with tensors of numpy and of torch, without copies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tvm_ffi", reason="tvm-ffi is not installed (pip install 'tercet[tvm]')")

import tvm_ffi
from onnx import TensorProto, helper

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
    for threads in (0, -1, 1025, 1 << 40):
        with pytest.raises(ValueError, match=f"create: expected 1 to 1024 threads, got {threads}$"):
            module.digits_ternary_create(threads)
    with pytest.raises(TypeError, match="destroy: expected what create gave"):
        module.digits_ternary_destroy(7)


# -- handles ----------------------------------------------------------------------------------------------------------


def test_threads_that_share_a_model_wait_for_each_other(module: Any, logits: np.ndarray) -> None:
    model, wrong = module.digits_ternary_create(2), list[int]()

    def work(i: int) -> None:
        found = np.empty((1, 10), np.float32)
        for _ in range(300):
            module.digits_ternary_run(model, IMAGES[i : i + 1], found)
            wrong.extend([i] * (not np.array_equal(found[0], logits[i])))

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    module.digits_ternary_destroy(model)


def test_a_model_that_is_destroyed_while_threads_run_it(module: Any) -> None:
    model, ends = module.digits_ternary_create(), list[str]()

    def work() -> None:
        found = np.empty((1, 10), np.float32)
        try:
            while True:
                module.digits_ternary_run(model, IMAGES[:1], found)
        except ValueError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    module.digits_ternary_run(model, IMAGES, np.empty((5, 10), np.float32))
    module.digits_ternary_destroy(model)
    for thread in threads:
        thread.join(60)
    assert len(ends) == 3 and all("run: no model: it was destroyed" in end for end in ends)


def test_handles_that_are_none(artifact: Path, module: Any, model: Any, tmp_path: Path) -> None:
    found, x = np.empty((5, 10), np.float32), np.ones(3, bool)
    dead = module.digits_ternary_create()
    module.digits_ternary_destroy(dead)
    live = module.digits_ternary_create()  # may lie where the other one did
    other = library(tmp_path, "both", ["a", "b"])
    for handle in (dead, other.both_create(), type(dead)(12345), type(dead)(2**64 - 1)):
        with pytest.raises(ValueError, match="run: no model: it was destroyed, or create of this library did not"):
            module.digits_ternary_run(handle, IMAGES, found)
        with pytest.raises(ValueError, match="destroy: no model"):
            module.digits_ternary_destroy(handle)
    with pytest.raises(ValueError, match="run: no model"):
        other.both_run(live, x, x, x)
    for handle in (None, 0, "h", IMAGES):
        with pytest.raises(TypeError, match="run: expected what create gave"):
            module.digits_ternary_run(handle, IMAGES, found)
    module.digits_ternary_destroy(live)


# -- kinds of ports ---------------------------------------------------------------------------------------------------


def library(folder: Path, name: str, inputs: list[str], kind: int = TensorProto.BOOL) -> Any:
    """All of the inputs (booleans: and, numbers: added), three elements each."""
    ports = [helper.make_tensor_value_info(port, kind, [3]) for port in (*inputs, "y")]
    parts = [*inputs[:1], *(f"_{i}" for i in range(len(inputs) - 2)), "y"]
    operator = "And" if kind == TensorProto.BOOL else "Add"
    nodes = [helper.make_node(operator, [parts[i], port], [parts[i + 1]]) for i, port in enumerate(inputs[1:])]
    graph = helper.make_graph(nodes, name, ports[:-1], ports[-1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    tercet.compile(model, folder / name, name=name, as_directory=True, target="generic")
    return tvm_ffi.load_module(str(folder / name / "lib" / f"lib{name}.so"))


def test_booleans(tmp_path: Path) -> None:
    module = library(tmp_path, "both", ["a", "b"])
    model, a, b, y = module.both_create(), np.array([1, 0, 1], bool), np.array([1, 1, 0], bool), np.ones(3, bool)
    module.both_run(model, a, b, y)
    np.testing.assert_array_equal(y, a & b)
    module.both_run(model, b.view(np.int8), b.view(np.uint8), y.view(np.int8))
    np.testing.assert_array_equal(y, b)
    with pytest.raises(ValueError, match=r"'a': expected a dense tensor on the CPU of bool \[3\], got float32 \[3\]"):
        module.both_run(model, np.ones(3, np.float32), b, y)


def test_elements_have_names(module: Any, model: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'tercet[torch]')")
    kinds = {torch.bfloat16: "bfloat16", torch.float16: "float16", torch.bool: "bool", torch.complex64: "complex64",
             torch.float8_e5m2: "float8_e5m2", torch.float8_e4m3fn: "float8_e4m3fn"}  # fmt: skip
    for dtype, name in kinds.items():
        with pytest.raises(ValueError, match=rf"{EXPECTED} \[N, 1, 8, 8\], got {name} \[5, 1, 8, 8\]"):
            module.digits_ternary_run(model, torch.zeros(5, 1, 8, 8).to(dtype), np.zeros((5, 10), np.float32))


def test_names_are_shown(tmp_path: Path) -> None:
    names = ["größe", "入力" * 30, 'a"?\\\n']
    module = library(tmp_path, "named", names, TensorProto.FLOAT)
    model, x = module.named_create(), np.ones(3, np.float32)
    for i, shown in enumerate(("größe", "入力" * 16 + "...", 'a"?\\\\n')):
        inputs = [x[:2] if i == j else x for j in range(3)]
        with pytest.raises(ValueError) as caught:
            module.named_run(model, *inputs, x)
        assert f"input '{shown}': {EXPECTED} [3], got float32 [2]" in str(caught.value)


def test_more_ports_than_anybody_has(tmp_path: Path) -> None:
    module = library(tmp_path, "many", [f"x{i}" for i in range(100)], TensorProto.FLOAT)
    model, y = module.many_create(), np.zeros(3, np.float32)
    module.many_run(model, *(np.full(3, i, np.float32) for i in range(100)), y)
    np.testing.assert_array_equal(y, 4950)
