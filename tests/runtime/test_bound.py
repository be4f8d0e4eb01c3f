"""Arrays bound to a model: what calls compute, what may be bound, and what is refused when."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tercet.ir.errors import InputError
from tercet.runtime.load.loader import LoadedModel, load

from .handmade import expected, samples, write_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("artifact") / "tiny.tercet")


@pytest.fixture
def model(artifact: Path) -> Iterator[LoadedModel]:
    with load(artifact, threads=2) as model:
        yield model


def outputs(batch: int) -> dict[str, np.ndarray]:
    return {"y": np.zeros((batch, 4, 3), np.float32), "best": np.zeros(batch, np.int8)}


def same(have: Any, want: dict[str, np.ndarray]) -> None:
    assert list(have) == list(want)
    for name in want:
        np.testing.assert_array_equal(have[name], want[name])


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_refilled_in_place(model: LoadedModel, batch: int) -> None:
    feeds, results = samples(batch), outputs(batch)
    bound = model.bind(feeds, results)
    for seed in range(3):
        for name, values in samples(batch, seed).items():
            feeds[name][...] = values
        have = bound()
        assert all(have[name] is array for name, array in results.items())
        same(results, expected(**feeds))


def test_outputs_are_made_where_none_are_given(model: LoadedModel) -> None:
    feeds = samples(2)
    bound = model.bind([feeds["x"], feeds["t"]])
    assert bound.inputs["x"] is feeds["x"]
    assert {name: (array.shape, array.dtype.name) for name, array in bound.outputs.items()} == {
        "y": ((2, 4, 3), "float32"),
        "best": ((2,), "int8"),  # as stored; `run` gives int64
    }
    same(bound(), expected(**feeds))
    assert repr(bound) == "BoundModel(x, t -> y, best)"


def test_several_at_the_same_time(model: LoadedModel) -> None:
    """Bound calls and runs of one model in several threads wait for each other."""
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            feeds = samples(3, seed)
            bound = model.bind(feeds)
            for _ in range(50):
                same(bound(), expected(**feeds))
                same(model.run(feeds), expected(**feeds))
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


def test_a_read_only_input_can_be_bound(model: LoadedModel) -> None:
    feeds = samples(1)
    feeds["x"].flags.writeable = False
    same(model.bind(feeds)(), expected(**feeds))


def test_it_keeps_its_model(artifact: Path) -> None:
    feeds = samples(1)
    bound = load(artifact).bind(feeds)
    gc.collect()
    same(bound(), expected(**feeds))


def test_a_closed_model_is_refused_at_the_call(artifact: Path) -> None:
    model = load(artifact)
    bound = model.bind(samples(1))
    model.close()
    with pytest.raises(InputError, match="the model is closed"):
        bound()
    with pytest.raises(InputError, match="the model is closed"):
        model.bind(samples(1))


def test_values_out_of_range_are_refused_at_the_call(model: LoadedModel) -> None:
    feeds = samples(2)
    bound = model.bind(feeds)
    feeds["t"][1, 3] = 2
    with pytest.raises(InputError, match=r"input 't': values outside -1\.\.1"):
        bound()
    feeds["t"][1, 3] = 1
    same(bound(), expected(**feeds))


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


GOOD = samples(2)
STRIDED = np.zeros((2, 3, 8), np.float32)[:, :, ::2]
SHARED = np.zeros(100, np.float32)


@pytest.mark.parametrize(
    ("inputs", "results", "message"),
    [
        ({"x": GOOD["x"]}, None, "input 't' is missing"),
        ({**GOOD, "z": GOOD["x"]}, None, "there is no input 'z'"),
        (GOOD["x"], None, "expected 2 inputs, got 1"),
        ({**GOOD, "x": GOOD["x"].tolist()}, None, "input 'x': expected a NumPy array, got list"),
        ({**GOOD, "x": GOOD["x"].astype(np.float64)}, None, "input 'x': expected dtype float32, .* got <f8"),
        ({**GOOD, "x": GOOD["x"].astype(">f4")}, None, "input 'x': expected dtype float32, .* got >f4"),
        ({**GOOD, "x": np.zeros((2, 4, 3), np.float32)}, None, r"expected shape \[N, 3, 4\], .* got \[2, 4, 3\]"),
        ({**GOOD, "t": GOOD["t"][:1]}, None, r"input 't': expected shape \[N, 12\], with N = 2"),
        ({**GOOD, "x": np.float32(3)}, None, "input 'x': expected a NumPy array, got float32"),
        ({**GOOD, "x": STRIDED}, None, "input 'x': is not contiguous"),
        (GOOD, {"y": outputs(2)["y"]}, "output 'best' is missing"),
        (GOOD, [outputs(2)["y"]], "expected 2 outputs, got 1"),
        (GOOD, {**outputs(2), "best": np.zeros(2, np.int64)}, "output 'best': expected dtype int8, .* got <i8"),
        (GOOD, outputs(1), r"output 'y': expected shape \[N, 4, 3\], with N = 2"),
        (GOOD, {**outputs(2), "best": read_only(np.zeros(2, np.int8))}, "output 'best': cannot be written"),
        (
            {**GOOD, "x": SHARED[:24].reshape(2, 3, 4)},
            {**outputs(2), "y": SHARED[20:44].reshape(2, 4, 3)},
            "output 'y': shares memory with input 'x'",
        ),
        (
            GOOD,
            {"y": SHARED[:24].reshape(2, 4, 3), "best": SHARED[:1].view(np.int8)[:2]},
            "output 'y': shares memory with output 'best'",
        ),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_bound(model: LoadedModel, inputs: Any, results: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.bind(inputs, results)
