"""Loaded models, what `compile` returns and errors can be copied and pickled: into other processes, for example."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tercet
from tercet.driver.compile import Compiled
from tercet.ir.errors import ArtifactError, InputError, ModelError, TercetError, ToolchainError, UnsupportedError
from tercet.runtime.load.loader import LoadedModel, load

from .handmade import expected, samples, write_artifact

ERRORS = (TercetError, ModelError, UnsupportedError, ToolchainError, ArtifactError, InputError)
FEEDS = samples(3)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "tiny.tercet")


def right(model: LoadedModel) -> None:
    want = expected(**FEEDS)
    have = model.run(FEEDS)
    assert list(have) == list(want)
    for name in want:
        np.testing.assert_array_equal(have[name], want[name])


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("as_folder", [False, True])
def test_a_copy_is_a_model_of_its_own(copied: Any, as_folder: bool, tmp_path: Path) -> None:
    with load(write_artifact(tmp_path / "tiny.tercet", as_folder=as_folder), threads=2) as model:
        other = copied(model)
        assert other is not model and other.threads == model.threads
    right(other)  # with the first one closed
    other.close()


def test_deepcopy_within_other_objects(artifact: Path) -> None:
    with load(artifact) as model:
        holder = copy.deepcopy({"model": model, "name": ["a"]})
        assert holder["model"] is not model
        right(holder["model"])
        holder["model"].close()


def test_a_copy_needs_no_file(artifact: Path) -> None:
    with load(artifact) as model:
        artifact.unlink()
        with copy.copy(model) as other:
            right(other)


def test_pickle_holds_the_path(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with load(artifact.name, threads=1) as model:  # a relative path, which is kept as an absolute one
        data = pickle.dumps(model)
    monkeypatch.chdir("/")
    assert len(data) < 1000
    with pickle.loads(data) as other:
        right(other)


def test_pickle_of_an_artifact_that_is_gone_or_another(artifact: Path, tmp_path: Path) -> None:
    with load(artifact) as model:
        data = pickle.dumps(model)
    artifact.unlink()
    with pytest.raises(ArtifactError, match="no such file"):
        pickle.loads(data)
    tercet.compile(Path(__file__).parents[1] / "faults/data/n_uni.onnx", artifact, target="generic")
    with pytest.raises(ArtifactError, match="is not the artifact that was pickled"):
        pickle.loads(data)


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_closed_model_has_no_copies(made: Any, artifact: Path) -> None:
    model = load(artifact)
    model.close()
    with pytest.raises(InputError, match="the model is closed"):
        made(model)


OTHER_PROCESS = """
import pickle, sys
import numpy as np
model, feeds = pickle.load(sys.stdin.buffer)
try:
    with model:
        best = model.run(feeds)["best"]
    model.run(feeds)
except Exception as error:
    pickle.dump((best, error), sys.stdout.buffer)
"""


def test_between_processes(artifact: Path) -> None:
    """As pools of processes do it: the model goes there, results and errors come back."""
    with load(artifact) as model:
        data = pickle.dumps((model, FEEDS))
    done = subprocess.run([sys.executable, "-c", OTHER_PROCESS], input=data, capture_output=True, timeout=60)
    assert not done.stderr
    best, error = pickle.loads(done.stdout)
    np.testing.assert_array_equal(best, expected(**FEEDS)["best"])
    assert isinstance(error, InputError) and error.what == "the model is closed"


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_stay_what_they_are(kind: type[TercetError], copied: Any) -> None:
    error = kind("is wrong", where="here", hint="do that")
    error.add_note("seen in a dream")
    other = copied(error)
    assert type(other) is kind and str(other) == str(error)
    assert (other.what, other.where, other.hint) == ("is wrong", "here", "do that")
    assert other.__notes__ == ["seen in a dream"]


def test_what_compile_returns(tmp_path: Path) -> None:
    model = Path(__file__).parents[1] / "faults/data/n_uni.onnx"
    made = tercet.compile(model, tmp_path / "m.tercet", target="generic", engines="loops")
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert isinstance(other, Compiled) and other == made
    assert len(repr(made)) < 200 and "n_uni" in repr(made) and "m.tercet" in repr(made)
    assert len(repr(tercet.inspect(made.path))) < 200
    options = tercet.LossyOptions("ternary", keep=("a",))
    assert pickle.loads(pickle.dumps(options)) == copy.deepcopy(options) == options


def test_more_threads_than_processors(artifact: Path) -> None:
    """The number is that of the threads that run, not the one asked for; a copy asks for the same again."""
    with load(artifact, threads=1000) as many, load(artifact) as one, copy.copy(many) as other:
        assert one.threads == 1
        assert 1 <= many.threads <= multiprocessing.cpu_count()
        assert other.threads == many.threads
        right(many)
