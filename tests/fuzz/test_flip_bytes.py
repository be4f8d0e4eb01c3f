"""A sample of the damaged models and artifacts; `python tests/fuzz/flip_bytes.py` goes on for as long as one likes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from flip_bytes import Tally, run_block, run_cases, summary
from flip_mutations import damaged
from flip_seeds import seeds
from flip_subjects import Subject, artifacts, models

import tercet


def test_damaged_models_are_imported_or_refused() -> None:
    tally = run_cases(models(), 0, 0, 2000, lambda now: None)
    assert not tally.faults, summary(tally)
    assert sum(tally.outcomes.values()) == 2000
    assert tally.outcomes["accepted"] > 50 and len(tally.outcomes) > 80


def test_damaged_artifacts_are_refused() -> None:
    tally = run_cases(artifacts(), 0, 0, 300, lambda now: None)
    assert not tally.faults, summary(tally)
    assert sum(tally.outcomes.values()) == 300
    assert tally.outcomes["accepted"] < 150 and len(tally.outcomes) > 10


def test_what_is_no_refusal_is_a_fault() -> None:
    """Errors, warnings, processes that die: each with the number of its case, and the cases after it still run."""

    def use(path: Path, rng: random.Random) -> None:
        number = int(path.read_bytes())
        if number == 2:
            os.abort()
        if number == 3:
            os._exit(7)
        if number == 4:
            raise tercet.TercetError("is refused 4 times")
        if number == 5:
            raise ValueError("boom")

    numbers = iter(range(100))
    subject = Subject("number", lambda rng: b"%d" % next(numbers), use)
    run_block(subject, 0, range(0, 2), tally := Tally())
    assert tally.outcomes == {"accepted": 2} and not tally.faults
    numbers = iter(range(2, 100))
    subject = Subject("number", lambda rng: b"%d" % next(numbers), use)
    run_block(subject, 0, [2], tally)
    assert "SIGABRT" in tally.faults[2]
    numbers = iter(range(3, 100))
    run_block(subject, 0, [3], tally)
    assert "code 7" in tally.faults[3]
    numbers = iter(range(4, 100))
    run_block(subject, 0, [4, 5], tally)
    assert tally.outcomes["TercetError: is refused # times"] == 1
    assert "ValueError" in tally.faults[5] and "boom" in tally.faults[5]


@pytest.mark.parametrize("name", seeds())
def test_damage_follows_from_the_seed(name: str) -> None:
    data = seeds()[name]
    made = [damaged(data, random.Random(f"{seed}")) for seed in (1, 1, 2, 3)]
    assert made[0] == made[1] and len(set(made)) > 1
