"""Tuning: what is measured, what the measurements decide, and that they are remembered. No test depends on a clock."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from random_networks import Network, networks

import tercet
from tercet.backends.c.emit import emit_model
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import Tuning, all_passes
from tercet.backends.c.lowering.tune import Times
from tercet.backends.c.target import TARGETS, Target, find_target, runs_here
from tercet.driver import tuning
from tercet.driver.tuning import undisturbed_cycles
from tercet.ir.errors import TercetError
from tercet.ir.kn.kernel import ConvertOp, KernelOp
from tercet.ir.program import Program
from tercet.passes.pipeline import numbered, run_passes

TARGET = TARGETS["x86-64-v3"]
FEW = settings(deadline=None, max_examples=5)
DIGITS = Path(__file__).parents[2] / "examples/digits/digits_ternary.onnx"


class PaperBench:
    """Says of the steps of a program what a rule gives; remembers in memory."""

    def __init__(self, last_is_best: bool = True) -> None:
        self.known: dict[str, Times] = {}
        self.programs: list[Program] = []
        self.last_is_best = last_is_best

    def recall(self, key: str) -> Times | None:
        return self.known.get(key)

    def remember(self, found: Mapping[str, Times]) -> None:
        assert not set(found) & set(self.known)
        self.known |= found

    def measure(self, program: Program) -> Sequence[float]:
        self.programs.append(program)
        steps = list(program.ops)
        return [1000 - i if self.last_is_best else i + 1 for i in range(len(steps))]


def lowered(network: Program, bench: PaperBench | None, candidates: int = 4) -> Program:
    program = network.clone()
    passes = numbered(all_passes(TARGET, list(ENGINES), (), Tuning(bench, candidates)))
    run_passes(program, [stage for stage in passes if stage.name != "sum-merge"])  # which takes its time
    return program


def kernels(program: Program) -> list[KernelOp]:
    return [op for op in program.ops if isinstance(op, KernelOp)]


@given(networks())
@FEW
def test_candidates_make_a_program_that_compiles_to_c(network: Network) -> None:
    bench = PaperBench()
    program = lowered(network.program, bench)
    (measured,) = bench.programs
    assert all(isinstance(op, KernelOp | ConvertOp) for op in measured.ops)
    assert emit_model(measured, TARGET, compact=False).layers
    tuned = [op for op in kernels(program) if op.measured is not None]
    assert tuned, "every kernel that was selected is measured"
    for op in tuned:
        choices = [k for k in kernels(measured) if k.engine == op.engine and k.schedule == op.schedule]
        assert op.measured_cycles in {1000 - list(measured.ops).index(k) for k in choices}


@given(networks())
@FEW
def test_what_is_known_is_not_measured_again(network: Network) -> None:
    bench = PaperBench()
    first, second = lowered(network.program, bench), lowered(network.program, bench)
    assert len(bench.programs) == 1
    assert first.text() == second.text()


def test_measurements_decide() -> None:
    program = tercet.import_model(DIGITS)
    one, other = lowered(program, PaperBench(last_is_best=True)), lowered(program, PaperBench(last_is_best=False))
    choices = [[(op.engine.data, op.schedule_values) for op in kernels(p) if op.measured] for p in (one, other)]
    assert choices[0] != choices[1]
    assert not any(op.measured for op in kernels(lowered(program, None)))


def test_candidates_are_few_and_no_engine_twice_before_the_rest() -> None:
    bench = PaperBench()
    lowered(tercet.import_model(DIGITS), bench, candidates=2)
    names = [op.symbol.data[:4] for op in kernels(bench.programs[0])]
    assert max(names.count(name) for name in names) == 2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path))
    return tmp_path / tuning.CACHE_FILE


def test_the_cache_outlives_the_tuner(cache: Path) -> None:
    tuner = tuning.Tuner(find_target("native"))
    assert tuner.recall("a") is None
    tuner.remember({"a": ((1.0, 2.0), (3.0, 0.0))})
    other = tuning.Tuner(find_target("native"))
    assert other.recall("a") == ((1.0, 2.0), (3.0, 0.0)) and other.recall("b") is None
    other.remember({"b": ((5.0, 0.0),)})
    tuner.remember({"c": ((6.0, 0.0),)})  # keeps what the other one wrote
    assert len(json.loads(cache.read_text())) == 3
    assert list(cache.parent.iterdir()) == [cache]
    assert tuning.Tuner(find_target("generic")).recall("a") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1}', '{"a": [[1]]}', '{"a": [["x", 1]]}', "\0", '{"a": [[NaN, 1]]}']
)
def test_a_damaged_cache_is_ignored_with_a_note(cache: Path, text: str) -> None:
    cache.write_text(text)
    tuner = tuning.Tuner(find_target("native"))
    assert tuner.notes and str(cache) in tuner.notes[0]
    tuner.remember({"a": ((1.0, 2.0),)})
    assert tuning.Tuner(find_target("native")).recall("a") == ((1.0, 2.0),)


def test_a_cache_that_cannot_be_written_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TERCET_CACHE", str(tmp_path / "file" / "folder"))
    tuner = tuning.Tuner(find_target("native"))
    tuner.remember({"a": ((1.0, 2.0),)})
    assert "not kept" in tuner.notes[-1] and tuner.recall("a") is not None


def test_single_readings_of_the_clock_decide_nothing() -> None:
    seconds = np.tile([1e-3, 2e-3], (9, 1))
    seconds[0], seconds[1], seconds[2] = 0.0, 1.0, 5e-3  # time subtracted late, and other programs
    rates = np.full(9, 3e9)
    rates[:3] = np.inf, 1e12, 1e9
    np.testing.assert_allclose(undisturbed_cycles(seconds, rates), [3e6, 6e6])


def test_targets_that_cannot_run_are_refused(tmp_path: Path) -> None:
    foreign = next((name for name, target in TARGETS.items() if runs_here(target)), None)
    if foreign is None:
        pytest.skip("every target runs here")
    with pytest.raises(TercetError, match=f"cannot tune for target {foreign}"):
        tercet.compile(DIGITS, tmp_path / "x.tercet", target=foreign, tune=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.check
@pytest.mark.slow
def test_tuned_artifacts(cache: Path, tmp_path: Path) -> None:
    """Measured for real: the same bytes from the same cache, the same results, and the cycles in the IR."""
    target: Target = find_target("native")
    made = [tercet.compile(DIGITS, tmp_path / f"{i}.tercet", tune=2, target=target.name) for i in range(2)]
    assert made[0].path.read_bytes() == made[1].path.read_bytes() and cache.exists()
    assert made[0].notes == ()
    assert any(layer.measured > 0 for layer in made[0].layers)
    assert "measured = " in tercet.inspect(made[0].path).text_after("tune")
    assert tercet.verify(made[0].path, DIGITS).ok
