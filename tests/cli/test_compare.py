"""Differences of tensors, and the arrays that models are checked with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tercet.ir.errors import InputError
from tercet.runtime.artifact.manifest import PortInfo
from tercet.runtime.check.compare import difference
from tercet.runtime.check.samples import file_samples, random_samples

F32 = np.float32
X = PortInfo("x", (1, 2, 3), "float32", "float32", None, 24)
Y = PortInfo("y", (1, 2), "float32", "float32", None, 8)


def test_identical_tensors() -> None:
    for array in (np.zeros((2, 3), F32), np.arange(4), np.zeros((0, 3), F32), np.array([np.nan, np.inf], F32)):
        found = difference(array, array.copy(), 0.0)
        assert found.ok
        assert found.text == "identical"


def test_floats_are_compared_with_the_largest_magnitude() -> None:
    want = np.array([100.0, 1e-6, -50.0], F32)
    have = want + np.array([0, 5e-4, 0], F32)
    assert difference(have, want, 1e-5).ok  # 5e-4 is 5e-6 of 100
    found = difference(have, want, 1e-6)
    assert (found.ok, found.wrong, found.count, found.where) == (False, 1, 3, (1,))
    assert found.absolute == pytest.approx(5e-4, rel=1e-2)
    assert found.relative == pytest.approx(5e-6, rel=1e-2)
    assert "1 of 3 elements differ, worst at [1]" in found.text


def test_ulp_counts_float32_values_between_the_worst_two() -> None:
    one = np.ones(1, F32)
    assert difference(np.nextafter(one, F32(2)), one, 1.0).ulp == 1
    tiny = np.nextafter(F32(0), F32(1)).reshape(1)
    assert difference(tiny, -tiny, 10.0).ulp == 2


@pytest.mark.parametrize(
    ("have", "want"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf), (1.0, 0.0), (np.nan, np.inf)]
)
def test_what_is_never_close(have: float, want: float) -> None:
    assert not difference(np.array([have, 1], F32), np.array([want, 1], F32), 0.5).ok


def test_integers_are_compared_exactly() -> None:
    assert difference(np.array([1, 2], np.int8), np.array([1, 2]), 0.0).ok
    found = difference(np.array([1, 3]), np.array([1, 2]), 0.9)
    assert (found.ok, found.absolute, found.wrong) == (False, 1.0, 1)


def test_other_shapes_cannot_be_compared() -> None:
    found = difference(np.zeros((2, 3)), np.zeros((3, 2)), 1.0)
    assert (found.ok, found.text) == (False, "shape: expected [3, 2], got [2, 3]")


def test_random_samples_are_the_same_every_time_and_within_ranges() -> None:
    q = PortInfo("q", (1, 50), "uint8", "uint8", (0, 15), 50)
    first, second = (random_samples([X, q], batched=True, count=4, ranges={"q": (0, 15)}) for _ in range(2))
    assert len(first.runs) == 1
    assert first.runs[0]["x"].shape == (4, 2, 3)
    assert first.runs[0]["q"].max() == 15
    assert all(np.array_equal(first.runs[0][name], second.runs[0][name]) for name in ("x", "q"))
    alone = random_samples([X], batched=False, count=3)
    assert [run["x"].shape for run in alone.runs] == [(1, 2, 3)] * 3


def test_samples_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    inputs, labels = np.arange(30.0).reshape(5, 6), np.arange(5) % 2
    np.savez(path, input=inputs, logits=np.zeros((5, 2), F32), labels=labels, other="text")
    found = file_samples(path, [X], [Y], batched=True, limit=4)
    assert found.runs[0]["x"].shape == (4, 2, 3)
    assert found.runs[0]["x"].dtype == F32
    assert found.expected["y"].shape == (4, 2)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert len(found.notes) == 2
    alone = file_samples(path, [X], [Y], batched=False)
    assert [run["x"].shape for run in alone.runs] == [(1, 2, 3)] * 5


def test_a_single_run_of_a_model_without_batch(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros((1, 2, 3), F32))
    found = file_samples(tmp_path / "s.npz", [X], [Y], batched=False)
    assert [run["x"].shape for run in found.runs] == [(1, 2, 3)]


def test_labels_of_runs_of_several_samples(tmp_path: Path) -> None:
    """A model without batch may compute three samples at a time: as many labels belong to a run."""
    x, y = replace(X, shape=(3, 2, 3)), replace(Y, shape=(3, 2))
    for labels, want in ((np.arange(6) % 2, [0, 1, 0]), (np.array([5, 4]), [5])):
        np.savez(tmp_path / "s.npz", x=np.zeros((2, 3, 2, 3), F32), label=labels)
        found = file_samples(tmp_path / "s.npz", [x], [y], batched=False, limit=1)
        assert found.labels is not None and found.labels.tolist() == want
    np.savez(tmp_path / "s.npz", x=np.zeros((2, 3, 2, 3), F32), label=np.zeros(5, int))
    with pytest.raises(InputError, match=r"'label': expected shape \[6\], got \[5\]"):
        file_samples(tmp_path / "s.npz", [x], [y], batched=False)


def test_a_port_may_be_called_label(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros((2, 2, 3), F32), label=np.full((2, 2), 7, F32))
    found = file_samples(tmp_path / "s.npz", [X], [replace(Y, name="label")], batched=True)
    assert found.labels is None and found.expected["label"].shape == (2, 2)


def test_two_inputs_need_their_names(tmp_path: Path) -> None:
    other = PortInfo("z", (1, 1), "float32", "float32", None, 4)
    np.savez(tmp_path / "s.npz", input=np.zeros((1, 2, 3), F32), z=np.zeros((1, 1), F32))
    with pytest.raises(InputError, match="no array for the input 'x'"):
        file_samples(tmp_path / "s.npz", [X, other], [Y], batched=True)
    np.savez(tmp_path / "s.npz", x=np.zeros((1, 2, 3), F32), z=np.zeros((2, 1), F32))
    with pytest.raises(InputError, match=r"the inputs have \[1, 2\] samples"):
        file_samples(tmp_path / "s.npz", [X, other], [Y], batched=True)
