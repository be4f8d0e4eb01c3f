"""Timing candidates alternately."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, TypeAlias

Clock: TypeAlias = "Callable[[int], float]"
"""Runs a candidate that many times and gives the median seconds of a run."""

BLOCK_SECONDS = 0.03
FEWEST, MOST = 3, 1000


class LeftOut(Exception):
    """A candidate that cannot be measured; the text says why."""


def time_source(threads: int) -> Callable[[], float]:
    """Seconds that count: of CPU time on one thread, so that other processes, which interrupt long runs more than short
    ones, do not; of the wall clock on several."""
    return time.process_time if threads == 1 else time.perf_counter


def timed(call: Callable[[], Any], threads: int) -> Clock:
    """A clock for a function that computes on that many threads of this process."""
    now = time_source(threads)

    def clock(calls: int) -> float:
        seconds = []
        for _ in range(calls):
            start = now()
            call()
            seconds.append(now() - start)
        return median(seconds)

    return clock


def interleave(clocks: Mapping[str, Clock], rounds: int) -> dict[str, list[float]]:
    """Seconds of every candidate in every round.

    In a round each runs as often as fills a block, after one run that is not counted. The order turns around from
    round to round, so that neither drift nor what the one before left in the caches favours one of them.
    """
    calls = {name: calls_per_block(clock) for name, clock in clocks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in clocks}
    for r in range(rounds):
        for name in list(clocks) if r % 2 == 0 else reversed(list(clocks)):
            clocks[name](1)
            seconds[name].append(clocks[name](calls[name]))
    return seconds


def calls_per_block(clock: Clock) -> int:
    """Runs that fill a block, by the time of some after the first."""
    clock(1)
    return max(FEWEST, min(MOST, round(BLOCK_SECONDS / clock(FEWEST))))
