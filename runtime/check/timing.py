"""Timing that can be believed on a busy machine: candidates take turns, and only their ratio in each round counts."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK_SECONDS = 0.02


@dataclass(frozen=True)
class Spread:
    """How values of many rounds are spread: minimum, quartiles, median, maximum."""

    minimum: float
    lower: float
    median: float
    upper: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(*(float(q) for q in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))))

    @classmethod
    def of_ratio(cls, above: Sequence[float], below: Sequence[float]) -> Spread:
        """Of two times, round by round."""
        return cls.of([a / b for a, b in zip(above, below, strict=True)])


def in_turn(count: int, number: int) -> Iterable[int]:
    """The order of candidates in a round: it turns around from round to round."""
    return range(count) if number % 2 == 0 else reversed(range(count))


def interleave(
    calls: Sequence[Callable[[], Any]],
    rounds: int,
    *,
    block: float = BLOCK_SECONDS,
    on_round: Callable[[int], None] | None = None,
) -> list[list[float]]:
    """Seconds per call of every candidate in every round: result[candidate][round].

    In a round each candidate runs once unmeasured and then as often as fills `block` seconds. The order turns around
    from round to round, so that neither drift nor what the one before left in the caches favours one of them.
    """
    counts = [_calls_per_block(call, block) for call in calls]
    seconds: list[list[float]] = [[] for _ in calls]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for r in range(rounds):
            for i in in_turn(len(calls), r):
                seconds[i].append(_time(calls[i], counts[i]))
            if on_round is not None:
                on_round(r + 1)
    finally:
        if collecting:
            gc.enable()
    return seconds


def _time(call: Callable[[], Any], count: int) -> float:
    call()
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def _calls_per_block(call: Callable[[], Any], block: float) -> int:
    """Calls that take about `block` seconds, after warming up for as long."""
    call()
    start, best, done = time.perf_counter(), float("inf"), 0
    while done < 3 or time.perf_counter() - start < block:
        begin = time.perf_counter()
        call()
        best, done = min(best, time.perf_counter() - begin), done + 1
    return max(1, round(block / best))


@contextmanager
def pinned(threads: int) -> Iterator[tuple[int, ...]]:
    """Keeps this process, and threads it starts meanwhile, on `threads` CPUs of different cores. Gives their numbers;
    () where the system cannot pin or has too few."""
    if not hasattr(os, "sched_setaffinity"):
        yield ()
        return
    before = os.sched_getaffinity(0)
    chosen = _cores(before)[-threads:]  # the last ones: the first serves most interrupts
    if len(chosen) < threads:
        yield ()
        return
    try:
        os.sched_setaffinity(0, chosen)
        yield tuple(chosen)
    finally:
        os.sched_setaffinity(0, before)


def _cores(allowed: set[int]) -> list[int]:
    """One CPU of every core where that leaves enough of them apart, in order."""
    first: dict[str, int] = {}
    for cpu in sorted(allowed):
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            siblings = path.read_text().strip()
        except OSError:
            siblings = str(cpu)
        first.setdefault(siblings, cpu)
    return sorted(first.values())


def cpu_name() -> str:
    """The CPU as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or os.uname().machine
