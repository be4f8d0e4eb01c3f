"""The check of fit_costs.py says which layers get a kernel that is much slower than the fastest one."""

from __future__ import annotations

import pytest
from fit_costs import MOST_SLOWER, Sample, check, choices

from tercet.backends.c.engine import Kernel, KernelCode, Plan, only_dense
from tercet.backends.c.target import find_target

TARGET = find_target("generic")


def sample(layer: str, predicted: int, cycles: float) -> Sample:
    def emit(kernel: Kernel) -> KernelCode:
        raise NotImplementedError

    plan = Plan("loops", {"predicted": predicted}, predicted, [], only_dense, emit, lambda costs: predicted)
    return Sample(layer, f"net: {layer}", plan, cycles)


def test_choices_within_reach(capsys: pytest.CaptureFixture[str]) -> None:
    near = [sample("a", 10, 100 * MOST_SLOWER), sample("a", 11, 100), sample("b", 5, 7)]
    assert [(chosen.cycles, fastest.cycles) for chosen, fastest in choices(near, TARGET)] == [
        (100 * MOST_SLOWER, 100),
        (7, 7),
    ]
    assert check(near, TARGET)
    assert "2 of 2 layers" in capsys.readouterr().out


def test_a_choice_that_is_too_slow(capsys: pytest.CaptureFixture[str]) -> None:
    assert not check([sample("a", 10, 130), sample("a", 11, 100), sample("b", 5, 7)], TARGET)
    out = capsys.readouterr().out
    assert "1 of 2 layers" in out and "net: a" in out and "1.30" in out and "net: b" not in out
