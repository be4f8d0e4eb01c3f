"""Random networks: what oracle.py asks of each holds. `make fuzz` goes on for as long as one likes."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

from .graphs.diamonds import diamond
from .graphs.generate import network
from .session import BATCH, State, go_on

NETWORKS, DIAMONDS, ALL_DIAMONDS = 300, 96, 1000
EVERY_TIME = BATCH
"""So many of each are part of `make test`, the rest of `make check`."""


def batches(count: int, first: int = 0) -> list[ParameterSet]:
    """Where batches begin."""
    return [pytest.param(at, marks=[] if at < EVERY_TIME else pytest.mark.check) for at in range(first, count, BATCH)]


def check_batch(make, at: int, count: int) -> None:  # type: ignore[no-untyped-def]
    """The networks of a batch that begins at `at`, of seed 0."""
    state = State(0, done=at)
    go_on(state, min(at + BATCH, count), make)
    assert not state.failures, "\n".join(
        f"{f['network']} at {f['stage']}: {f['kind']}\n{f['detail']}" for f in state.failures
    )
    refused, compared = sum(state.refused.values()), state.counts["compared"]
    assert refused <= 0.15 * state.counts["networks"], dict(state.refused)
    assert compared >= 2 * (state.counts["networks"] - refused)


@pytest.mark.slow
@pytest.mark.parametrize("at", batches(NETWORKS))
def test_networks(at: int) -> None:
    check_batch(network, at, NETWORKS)


@pytest.mark.slow
@pytest.mark.parametrize("at", batches(DIAMONDS))
def test_diamonds(at: int) -> None:
    check_batch(diamond, at, DIAMONDS)


@pytest.mark.nightly
@pytest.mark.parametrize("at", range(DIAMONDS, ALL_DIAMONDS, BATCH))
def test_a_thousand_diamonds(at: int) -> None:
    check_batch(diamond, at, ALL_DIAMONDS)
