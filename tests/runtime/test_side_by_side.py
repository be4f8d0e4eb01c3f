"""Artifacts timed alternately: what is counted, and in which order. How long things take is nobody's test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tercet.ir.errors import ArtifactError, InputError
from tercet.runtime.artifact.artifact import Artifact
from tercet.runtime.check.side_by_side import time_side_by_side
from tercet.runtime.check.timing import Spread
from tercet.runtime.load.loader import LoadedModel

from .handmade import samples, write_artifact


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    return [write_artifact(folder / f"{name}.tercet") for name in ("one", "other")]


def test_everything_is_counted(artifacts: list[Path]) -> None:
    rounds = list[int]()
    found = time_side_by_side(artifacts, samples(2), rounds=3, on_round=rounds.append)
    assert rounds == [1, 2, 3] and (found.rounds, found.threads) == (3, 1) and found.cpu
    opened = Artifact.open(artifacts[0])
    assert found.target == opened.best and len(found.artifacts) == 2
    for times in found.artifacts:
        assert len(times.seconds) == 3 and min(times.seconds) > 0
        assert times.layers == opened.layers_of(opened.best) and len(times.steps) == len(times.layers)
        assert all(len(step) == 3 and min(step) >= 0 for step in times.steps)
        assert times.library_bytes == len(opened.read(opened.manifest.library))
        assert times.stored_bytes == sum(len(opened.read(name)) for name in opened.names)


def test_steps_take_turns(artifacts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """In turned order, as whole calls do, so that drift favours nobody; each number is its own artifact's."""
    order, real = list[str](), LoadedModel.profile

    def noted(self: LoadedModel, inputs: dict[str, np.ndarray], repeats: int = 10) -> list[float]:
        order.append(self.artifact.path.stem)
        return [len(order) + 0.0 for _ in real(self, inputs, repeats)]

    monkeypatch.setattr(LoadedModel, "profile", noted)
    found = time_side_by_side(artifacts, samples(1), rounds=3)
    assert order == ["one", "other", "other", "one", "one", "other"]
    assert [times.steps[0] for times in found.artifacts] == [(1, 4, 5), (2, 3, 6)]


def test_ratios_are_those_of_rounds() -> None:
    found = Spread.of_ratio([2.0, 6.0, 4.0], [1.0, 2.0, 1.0])
    assert (found.minimum, found.median, found.maximum) == (2, 3, 4)
    with pytest.raises(ValueError, match="shorter"):
        Spread.of_ratio([1.0, 2.0], [1.0])


def test_what_cannot_be_timed(artifacts: list[Path], tmp_path: Path) -> None:
    for paths, rounds in (([], 3), (artifacts, 0)):
        with pytest.raises(InputError, match="one artifact and one round"):
            time_side_by_side(paths, samples(1), rounds=rounds)
    with pytest.raises(ArtifactError):
        time_side_by_side([*artifacts, tmp_path / "none.tercet"], samples(1))
    with pytest.raises(InputError):
        time_side_by_side(artifacts, np.zeros(3))
