"""Taking turns: what a round does and what it measures."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from tercet.runtime.check import timing
from tercet.runtime.check.timing import Spread, interleave, pinned


def test_candidates_take_turns_in_changing_order() -> None:
    calls: list[str] = []
    interleave([lambda: calls.append("a"), lambda: calls.append("b")], 2, block=1e-6)
    order = [name for i, name in enumerate(calls) if i == 0 or calls[i - 1] != name]
    assert order == ["a", "b", "a", "b", "a"]  # warm-up a b; round one a b, round two b a


def test_a_round_gives_seconds_per_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clock that only the candidates move: a machine that slows down does so for both."""
    now, slowness, first_calls = 0.0, 1.0, 0

    def call(seconds: float) -> None:
        nonlocal now
        now += seconds * slowness

    def first() -> None:
        nonlocal first_calls
        first_calls += 1
        call(0.25)

    def slow_down(rounds: int) -> None:
        nonlocal slowness
        slowness = 2.0**rounds

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now))
    found = timing.interleave([first, lambda: call(0.5)], 3, block=8.0, on_round=slow_down)
    assert found == [[0.25, 0.5, 1.0], [0.5, 1.0, 2.0]]
    assert first_calls == 1 + 32 + 3 * (1 + 32)  # warming up fills a block too; a round begins with one more


def test_spread() -> None:
    assert Spread.of([4, 1, 3, 2, 5]) == Spread(1, 2, 3, 4, 5)


def test_pinning_is_undone() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin")
    before = os.sched_getaffinity(0)
    with pinned(1) as cpus:
        assert os.sched_getaffinity(0) == set(cpus)
    assert os.sched_getaffinity(0) == before
    with pinned(100_000) as none:
        assert none == ()
