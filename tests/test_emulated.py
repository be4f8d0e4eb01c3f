"""Code for aarch64, cross-compiled with zig and run by qemu-user: the engines' own tests, trained and random networks.

`make check` runs a sample of the engine tests, a few models and networks; `make nightly` all of them. By hand:
`TERCET_TEST_TARGET=aarch64 pytest tests/c`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import emulated
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import NAMES, Case, build_case, compare
from random_networks import Network, networks

from tercet.api import compile
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.target import TARGETS, Target, runs_here
from tercet.backends.reference.interpreter import run

ROOT = Path(__file__).parents[1]
FOREIGN = [target for target in TARGETS.values() if target.machine == "aarch64"]
SAMPLE = "test_borders or test_instructions or (test_dense_int8 and test_planes) or test_first_layers"
"""Some tests of every engine but `loops`, which the networks exercise."""


@pytest.fixture(params=FOREIGN, ids=lambda t: t.name)
def target(request: pytest.FixtureRequest) -> Target:
    if not runs_here(request.param):
        pytest.skip("runs here: the other tests cover it")
    if reason := emulated.reason(request.param):
        pytest.skip(reason)
    return request.param


def engine_tests(target: Target, *arguments: str) -> None:
    """The tests of tests/c with another target in the place of the native one."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "tests" / "c"), *arguments],
        cwd=ROOT, env={**os.environ, "TERCET_TEST_TARGET": target.name}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"\b[1-9]\d* passed", done.stdout), done.stdout[-4000:]


@pytest.mark.check
@pytest.mark.slow
def test_a_sample_of_the_engines_tests(target: Target) -> None:
    engine_tests(target, "-k", SAMPLE)


@pytest.mark.nightly
def test_the_engines_tests(target: Target) -> None:
    engine_tests(target)


def check_model(case: Case, target: Target, folder: Path, *, batches: int, batch: int, threads: int) -> None:
    path = compile(case.path, folder / "model.tercet", target=target.name).path
    count = min(len(case.x), batches * batch) // batch * batch
    for at in range(0, count, batch):
        (got,) = emulated.run_artifact(path, target, folder / f"{at}", [case.x[at : at + batch]], threads=threads)
        compare(got, case.want[at : at + batch].reshape(got.shape), case)


@pytest.mark.check
@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo", "kws_w3a3"])
def test_models(name: str, target: Target, models: Path, tmp_path: Path) -> None:
    check_model(build_case(name, models), target, tmp_path, batches=1, batch=7, threads=2)


@pytest.mark.nightly
@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (21, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_every_model(name: str, batch: int, threads: int, target: Target, models: Path, tmp_path: Path) -> None:
    case = build_case(name, models)
    check_model(case, target, tmp_path, batches=1, batch=min(batch, len(case.x)), threads=threads)


def check_network(network: Network, engine: str | None, target: Target, threads: int) -> None:
    want = np.concatenate([run(network.program, {"x": x[None]})["y"] for x in network.x])
    with tempfile.TemporaryDirectory() as name:
        engines = None if engine is None else [engine]
        path = compile(network.program, Path(name) / "net.tercet", target=target.name, engines=engines).path
        (got,) = emulated.run_artifact(path, target, Path(name) / "program", [network.x], threads=threads)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * max(np.abs(want).max(initial=0), 1e-30))


@pytest.mark.check
@pytest.mark.slow
def test_random_networks(target: Target) -> None:
    @given(networks(), st.sampled_from((None, *(engine.name for engine in ENGINES))), st.integers(1, 2))
    @settings(max_examples=max(2, settings().max_examples // 25))
    def some(network: Network, engine: str | None, threads: int) -> None:
        check_network(network, engine, target, threads)

    some()
