"""Where digits are padding: in an array's last vector, table or panel. They are not stored; the loader inserts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BYTES = 20
"""What a gap takes in the artifact: struct tercet_gap of runtime/c/tercet_runtime.h."""
MOST_GAPS, LONGEST_PERIOD = 64, 8
MOST_DIGITS = 2**31 - 1


@dataclass(frozen=True)
class Gap:
    """`repeats` times `keep` digits that are stored and `skip` that are not. This gap and those after it, `items` in
    all, are gone through `rounds` times before the next one; inside of such a group items is 0."""

    keep: int
    skip: int
    repeats: int
    items: int = 1
    rounds: int = 1


def find_gaps(kept: np.ndarray) -> list[Gap] | None:
    """The gaps of a mask bool [digits] with at least one digit that is not kept; None where its order is so irregular
    that they would be many. Digits after the last gap are kept."""
    if kept.size > MOST_DIGITS:
        return None
    starts = np.flatnonzero(np.diff(kept, prepend=not kept[0]))
    lengths = np.diff(starts, append=kept.size)
    if not kept[0]:
        lengths = np.concatenate([[0], lengths])
    pairs = lengths[: len(lengths) // 2 * 2].reshape(-1, 2)
    first = np.flatnonzero(np.append(True, (pairs[1:] != pairs[:-1]).any(axis=1)))
    items = np.column_stack([pairs[first], np.diff(first, append=len(pairs))]).tolist()
    found: list[Gap] = []
    at = 0
    while at < len(items):
        period, rounds = _group(items, at)
        for i, (keep, skip, repeats) in enumerate(items[at : at + period]):
            found.append(Gap(keep, skip, repeats, 0 if i else period, 1 if i else rounds))
        if len(found) > MOST_GAPS:
            return None
        at += period * rounds
    return found


def _group(items: list[list[int]], at: int) -> tuple[int, int]:
    """How many items from `at` on come again how often, so that the most are covered."""
    best = (1, 1)
    for period in range(1, LONGEST_PERIOD + 1):
        pattern, rounds = items[at : at + period], 1
        while len(pattern) == period and items[at + rounds * period : at + (rounds + 1) * period] == pattern:
            rounds += 1
        if rounds > 1 and period * rounds > best[0] * best[1]:
            best = (period, rounds)
    return best
