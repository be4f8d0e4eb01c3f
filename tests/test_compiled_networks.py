"""Random quantized networks, compiled with every engine that takes part of them, equal the interpreter.

`make check` runs 200 networks, `make nightly` 2000; `make test` has those of tests/fuzz.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from random_networks import Network, networks

from tercet.api import compile, load
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.target import TARGETS, runs_here
from tercet.backends.reference.interpreter import run

RUNNABLE = [name for name, target in TARGETS.items() if not runs_here(target)]
ENGINE_NAMES = [engine.name for engine in ENGINES]
PARTS = 4
"""The networks are split over this many tests, so that they run side by side; each has the profile's number of examples
(50, or 500 at night)."""


def check(network: Network, engine: str | None, target: str, threads: int) -> None:
    want = np.concatenate([run(network.program, {"x": x[None]})["y"] for x in network.x])
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile(
            network.program,
            Path(folder) / "net.tercet",
            target=target,
            engines=None if engine is None else [engine],
            jobs=1,
        )
        with load(compiled.path, threads=threads) as model:
            got = model.run({"x": network.x})["y"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * max(np.abs(want).max(initial=0), 1e-30))


@pytest.mark.slow
@pytest.mark.check
@pytest.mark.parametrize("part", range(PARTS))
def test_compiled_equals_interpreted(part: int) -> None:
    @seed(int(os.environ.get("TERCET_SEED", "0")) + part)
    @given(networks(), st.sampled_from((None, *ENGINE_NAMES)), st.sampled_from(RUNNABLE), st.integers(1, 2))
    @settings(deadline=None, derandomize=False, database=None, print_blob=True)
    def some(network: Network, engine: str | None, target: str, threads: int) -> None:
        check(network, engine, target, threads)

    some()
