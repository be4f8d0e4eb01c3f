"""Real trained models through the whole compiler, on every target this machine runs, against their expected outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_cases import NAMES, Case, build_case, compare

from tercet.api import Compiled, compile, import_model, load
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import stages
from tercet.backends.c.target import TARGETS, find_target, runs_here
from tercet.ir.program import Program
from tercet.passes.pipeline import run_passes

EMULATED = "x86-64-v4-lanes"
LARGE = ("vww", "cnv_w1a1", "cnv_w2a2")
"""Others of their kind stay in `make test`."""
MODELS = [pytest.param(name, marks=[pytest.mark.check] if name in LARGE else []) for name in NAMES]


@pytest.fixture
def emulated_lanes() -> Iterator[str]:
    """The v4 target's vectors, tiles and choices in code for v3, so that they can run without AVX-512."""
    v3, v4 = TARGETS["x86-64-v3"], TARGETS["x86-64-v4"]
    if runs_here(v3):
        pytest.skip(runs_here(v3))
    TARGETS[EMULATED] = replace(v4, name=EMULATED, flags=v3.flags, features=v3.features, instructions={})
    yield EMULATED
    del TARGETS[EMULATED]


def check(case: Case, target: str, tmp_path: Path, optimize: str = "speed") -> Compiled:
    compiled = compile(case.path, tmp_path / "model.tercet", target=target, optimize=optimize)
    for threads in (1, 2):
        with load(compiled.path, threads=threads) as model:
            (name,) = (port.name for port in model.inputs)
            (output,) = (port.name for port in model.outputs)
            for batch in (1, 7):
                count = min(len(case.x), 100) // batch * batch
                got = [model.run({name: case.x[i : i + batch]})[output] for i in range(0, count, batch)]
                compare(np.concatenate(got), case.want[:count].reshape(-1, *case.want.shape[1:]), case)
    return compiled


@pytest.mark.slow
@pytest.mark.parametrize(
    "target", ["native", *(pytest.param(t, marks=pytest.mark.check) for t in ("x86-64-v4", "x86-64-v3", "generic"))]
)
@pytest.mark.parametrize("name", MODELS)
def test_compiled_model(name: str, target: str, models: Path, tmp_path: Path) -> None:
    if reason := runs_here(find_target(target)):
        pytest.skip(reason)
    case = build_case(name, models)
    if name == "espcn_quantized":
        case = replace(case, x=np.repeat(case.x, 7, 0), want=np.repeat(case.want, 7, 0))
    check(case, target, tmp_path)


@pytest.mark.slow
@pytest.mark.check
@pytest.mark.parametrize("name", ["cnv_w2a2", "ic", "demo"])
def test_v4_lanes_on_other_cpus(name: str, models: Path, tmp_path: Path, emulated_lanes: str) -> None:
    check(build_case(name, models), emulated_lanes, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most"),
    [
        *(pytest.param(f"cnv_w{i}a{i}", most, marks=pytest.mark.check) for i, most in ((1, 1.0), (2, 1.6))),
        ("demo", 1.6),
    ],
)
def test_size_keeps_weights_packed(name: str, most: float, models: Path, tmp_path: Path) -> None:
    """In every layer, but for the padding of a vector or a table."""
    made = check(build_case(name, models), "native", tmp_path, "size")
    weighted = [layer for layer in made.layers if layer.weight_count]
    assert weighted
    for layer in weighted:
        assert 0 < layer.digit_bytes_stored <= most * layer.weight_count / 8 + 64, layer


@pytest.mark.parametrize("name", MODELS)
def test_every_stage_verifies_and_round_trips(name: str, models: Path) -> None:
    program = import_model(build_case(name, models).path)
    labels, texts = [], [program.text()]

    def observe(label: str, program: Program, changed: bool) -> None:
        text = program.text()
        assert changed or text == texts[-1], label
        texts.append(text)
        again = Program.parse(text, program.weights)
        again.verify()
        assert again.text() == text, label
        labels.append(label)

    run_passes(program, stages(TARGETS["x86-64-v3"], list(ENGINES)), observe)
    assert len(labels) == len(set(labels)) >= 10


@pytest.mark.check
def test_kws_labels(models: Path, tmp_path: Path) -> None:
    """82.3% of the 300 labelled rows, the accuracy its authors ship."""
    data = np.load(models / "kws_w3a3.io.npz")
    compiled = compile(models / "kws_w3a3.qonnx.onnx", tmp_path / "kws.tercet")
    with load(compiled.path) as model:
        logits = model.run(data["input"].reshape(-1, 1, 10, 49))
    (scores,) = logits.values()
    assert f"{np.mean(scores.argmax(1) == data['label']):.3f}" == "0.823"


def test_compiling_twice_gives_the_same_bytes(models: Path, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "net.tercet" for folder in ("a", "b/c")]
    for path in paths:
        path.parent.mkdir(parents=True)
        compile(models / "kws_w3a3.qonnx.onnx", path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
