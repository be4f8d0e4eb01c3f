"""Running a compiled model from Python: results, inputs of every kind, refusals, threads, closing."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tercet.ir.errors import ArtifactError, InputError
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.artifact.manifest import TargetInfo
from tercet.runtime.load import cpu
from tercet.runtime.load.binding import Library
from tercet.runtime.load.loader import LoadedModel, load

from .handmade import BIAS, MATRIX, expected, library, samples, write_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("artifact") / "tiny.tercet")


@pytest.fixture
def model(artifact: Path) -> Iterator[LoadedModel]:
    with load(artifact) as model:
        yield model


class Dlpack:
    """An array that can only be had through DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class OnTheMoon(Dlpack):
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("this array is on the moon")


class ArrayOnly:
    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._array


def same(have: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    assert list(have) == list(want)
    for name in want:
        assert have[name].dtype == want[name].dtype
        np.testing.assert_array_equal(have[name], want[name])


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch", [0, 1, 7])
@pytest.mark.parametrize("as_folder", [False, True])
def test_results(tmp_path: Path, threads: int, batch: int, as_folder: bool) -> None:
    path = write_artifact(tmp_path / "tiny.tercet", as_folder=as_folder)
    feeds = samples(batch)
    with load(path, threads=threads) as model:
        same(model.run(feeds), expected(**feeds))
        same(model.run([feeds["x"], feeds["t"]]), expected(**feeds))


def test_what_a_model_says_of_itself(model: LoadedModel) -> None:
    assert [(p.name, p.shape, p.dtype) for p in model.inputs] == [("x", (1, 3, 4), "float32"), ("t", (1, 12), "int8")]
    assert [(p.name, p.dtype, p.stored) for p in model.outputs] == [
        ("y", "float32", "float32"),
        ("best", "int64", "int8"),
    ]
    assert [layer.symbol for layer in model.layers] == ["add", "swap", "dot", "most"]
    assert "tiny" in repr(model)


def test_arrays_of_every_kind(model: LoadedModel) -> None:
    feeds = samples(4)
    want = expected(**feeds)
    x, t = feeds["x"], feeds["t"]
    strided = np.asfortranarray(np.repeat(x, 2, axis=2))[:, :, ::2]
    read_only = t.copy()
    read_only.flags.writeable = False
    same(model.run({"t": Dlpack(t), "x": Dlpack(x)}), want)
    same(model.run({"x": ArrayOnly(x), "t": ArrayOnly(t)}), want)
    same(model.run((strided, read_only)), want)
    same(model.run({name: np.from_dlpack(array) for name, array in {"x": x, "t": t}.items()}), want)
    np.testing.assert_array_equal(np.from_dlpack(model.run(feeds)["y"]), want["y"])


GOOD = samples(2)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": GOOD["x"]}, "input 't' is missing"),
        ({**GOOD, "z": GOOD["x"]}, "there is no input 'z'"),
        (GOOD["x"], "expected 2 inputs, got 1"),
        ([GOOD["x"]], "expected 2 inputs, got 1"),
        ({**GOOD, "x": GOOD["x"].astype(np.float64)}, "input 'x': expected dtype float32, got float64"),
        ({**GOOD, "x": GOOD["x"].astype(">f4")}, "input 'x': expected dtype float32, got >f4"),
        ({**GOOD, "t": GOOD["t"].astype(np.uint8)}, "input 't': expected dtype int8, got uint8"),
        ({**GOOD, "x": GOOD["x"].transpose(0, 2, 1)}, r"input 'x': expected shape \[N, 3, 4\], got \[2, 4, 3\]"),
        ({**GOOD, "x": GOOD["x"][0]}, r"expected shape \[N, 3, 4\], got \[3, 4\]"),
        ({**GOOD, "x": np.float32(3)}, r"expected shape \[N, 3, 4\], got \[\]"),
        ({**GOOD, "t": GOOD["t"][:1]}, "input 't': batch of 1, but the first input has 2"),
        ({**GOOD, "t": GOOD["t"] * 2}, r"input 't': values outside -1\.\.1"),
        ({**GOOD, "x": "text"}, "input 'x': not an array: str"),
        ({**GOOD, "x": None}, "input 'x': not an array: NoneType"),
        ({**GOOD, "x": OnTheMoon(GOOD["x"])}, "input 'x': cannot be read through DLPack"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(model: LoadedModel, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.run(inputs)


@pytest.mark.parametrize("threads", [0, -1, 1025, True, 1.5, "2"])
def test_bad_thread_counts(artifact: Path, threads: Any) -> None:
    with pytest.raises(InputError, match=r"expected an integer in 1\.\.1024"):
        load(artifact, threads=threads)


def test_run_until(model: LoadedModel) -> None:
    feeds = samples(1, seed=5)
    (added,) = model.run_until("add", feeds)
    np.testing.assert_array_equal(added, feeds["x"] + BIAS.reshape(1, 3, 4))
    (sums,) = model.run_until(2, feeds)
    assert sums.dtype == np.int16
    np.testing.assert_array_equal(sums, feeds["t"].astype(int) @ MATRIX.T)
    (best,) = model.run_until("most", feeds)
    np.testing.assert_array_equal(best, expected(**feeds)["best"])
    for step in ("none", 4, -1):
        with pytest.raises(InputError, match="there is no step"):
            model.run_until(step, feeds)
    with pytest.raises(InputError, match="expected one sample, got 2"):
        model.run_until(0, samples(2))


def test_profile(model: LoadedModel) -> None:
    seconds = model.profile(samples(3), repeats=4)
    assert len(seconds) == 4
    assert all(0 < s < 1 for s in seconds)
    with pytest.raises(InputError, match="repeats"):
        model.profile(samples(3), repeats=0)


def test_closing(artifact: Path) -> None:
    model = load(artifact, threads=2)
    model.close()
    model.close()
    with pytest.raises(InputError, match="the model is closed"):
        model.run(samples(1))


def test_nothing_stays_behind(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed and forgotten models leave no mapping, thread or temporary file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = mapped_libraries(), len(os.listdir("/proc/self/task"))
    for _ in range(3):
        with load(artifact, threads=3) as model:
            model.run(samples(1))
        load(artifact, threads=2)  # dropped without close
        gc.collect()
    assert (mapped_libraries(), len(os.listdir("/proc/self/task"))) == before
    assert list(tmp_path.iterdir()) == []


def mapped_libraries() -> int:
    return sum("model.so" in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_models_at_the_same_time(artifact: Path) -> None:
    """Two models in two threads each, and one model shared by threads, all give right results."""
    failures: list[BaseException] = []

    def work(model: LoadedModel, seed: int) -> None:
        try:
            for i in range(20):
                feeds = samples(3, seed=100 * seed + i)
                same(model.run(feeds), expected(**feeds))
        except BaseException as error:
            failures.append(error)

    with load(artifact, threads=2) as first, load(artifact, threads=2) as second:
        workers = [threading.Thread(target=work, args=(m, i)) for i, m in enumerate((first, first, second))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert failures == []


def _run_in_fork(model: LoadedModel, queue: Any) -> None:
    try:
        model.run(samples(1))
        queue.put("ran")
    except Exception as error:
        queue.put(str(error))
    model.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_fork(artifact: Path, threads: int) -> None:
    """Workers do not survive a fork: the child is told so instead of waiting for them for ever."""
    workers = min(threads, len(os.sched_getaffinity(0))) - 1
    answer = "before a fork" if workers else "ran"
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with load(artifact, threads=threads) as model:
        child = context.Process(target=_run_in_fork, args=(model, queue))
        child.start()
        assert answer in queue.get(timeout=30)
        child.join(timeout=30)
        assert child.exitcode == 0
        same(model.run(GOOD), expected(**GOOD))


def test_a_model_that_is_still_open_at_the_end(artifact: Path) -> None:
    """Modules may be gone before it: nothing is printed."""
    program = "import _ctypes, sys, tercet\n_ctypes.kept = tercet.load(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, artifact], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_missing_cpu_features() -> None:
    have = next(iter(sorted(cpu.cpu_features())), None)
    with pytest.raises(ArtifactError, match="this CPU lacks warp9, warp10") as error:
        cpu.check_target(TargetInfo("x", "any", (*([have] if have else []), "warp9", "warp10")), "file")
    assert "--target" in error.value.hint
    with pytest.raises(ArtifactError, match="made for pdp11 machines"):
        cpu.check_target(TargetInfo("x", "pdp11", ()), "file")
    cpu.check_target(TargetInfo("x", "any", ()), "file")


def test_libraries_that_cannot_be_mapped() -> None:
    code = library()
    other = code[:18] + (183 if code[18] != 183 else 62).to_bytes(2, "little") + code[20:]
    for data, message in ((b"MZ" * 50, "not an ELF library"), (other, "is machine code for")):
        with pytest.raises(ArtifactError, match=message):
            cpu.check_library(data, "file")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        Library(code[:200], "tiny", "file")
    with pytest.raises(ArtifactError, match="has no function other_create"):
        Library(code, "other", "file")


def test_libraries_that_are_cut_off(tmp_path: Path) -> None:
    """With the right hashes. What is missing at the end, tables for tools, nothing reads."""
    sound = Artifact.open(write_artifact(tmp_path / "tiny.tercet"))
    files, name = {name: sound.read(name) for name in sound.names}, sound.manifest.library
    for size in (64, 100, 1000, len(files[name]) // 2, len(files[name]) * 2 // 3):
        Artifact.write(tmp_path / "cut.tercet", {**files, name: files[name][:size]}, sound.manifest)
        with pytest.raises(ArtifactError, match=f"the library is cut off after {size} bytes"):
            load(tmp_path / "cut.tercet")


def test_backends(tmp_path: Path) -> None:
    """An artifact of another backend needs no library, can be opened, and is refused when it is to be run."""
    sound = Artifact.open(write_artifact(tmp_path / "tiny.tercet"))
    files = {name: sound.read(name) for name in sound.names if not name.startswith(("lib/", "include/", "src/"))}
    Artifact.write(tmp_path / "other.tercet", files, replace(sound.manifest, backend="abacus"))
    assert Artifact.open(tmp_path / "other.tercet").manifest.backend == "abacus"
    with pytest.raises(ArtifactError, match="made by the backend 'abacus', which this tercet cannot run") as error:
        load(tmp_path / "other.tercet")
    assert "it runs: c" in error.value.hint
