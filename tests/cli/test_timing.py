"""Taking turns: what a round does, and that the ratio of a thing to itself is one."""

from __future__ import annotations

import os

import pytest

from tercet.runtime.timing import Spread, interleave, pinned


def test_candidates_take_turns_in_changing_order() -> None:
    calls: list[str] = []
    interleave([lambda: calls.append("a"), lambda: calls.append("b")], 2, block=1e-6)
    order = [name for i, name in enumerate(calls) if i == 0 or calls[i - 1] != name]
    assert order == ["a", "b", "a", "b", "a"]  # warm-up a b; round one a b, round two b a


def test_every_round_is_kept() -> None:
    def work() -> int:
        return sum(range(2000))

    first, second = interleave([work, work], 9, block=0.002)
    assert len(first) == len(second) == 9
    assert 0.3 < Spread.of([a / b for a, b in zip(first, second, strict=True)]).median < 3


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
