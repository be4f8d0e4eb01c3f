"""Real trained models through the whole compiler, on every target this machine runs, against their expected outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from tercet.api import compile, import_onnx, load
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.target import TARGETS, runs_here
from tercet.backends.reference.interpreter import run
from tercet.ir.program import Program
from tercet.passes.pipeline import run_passes, stages

DEMO = Path(__file__).parents[1] / "examples" / "digits"
EMULATED = "x86-64-v4 lanes"


@dataclass(frozen=True)
class Case:
    """A model, inputs [n, ...] and expected outputs; `steps` is the size of the output's quantization step, if any."""

    path: Path
    x: np.ndarray
    want: np.ndarray
    rtol: float = 1e-5
    step: float = 0.0


def onnxruntime_outputs(path: Path, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([np.asarray(session.run(None, {name: sample[None]})[0]) for sample in x])


def build_case(name: str, models: Path) -> Case:
    rng = np.random.default_rng(0)
    if name in ("cnv_w2a2", "cnv_w1a1"):
        data = np.load(models / f"{name}.io.npz")
        return Case(models / f"{name}.onnx", data["input"], data["output"], rtol=0)
    if name == "kws_w3a3":
        data = np.load(models / "kws_w3a3.io.npz")
        return Case(models / "kws_w3a3.qonnx.onnx", data["input"].reshape(-1, 1, 10, 49), data["output"])
    if name == "espcn_quantized":
        path = models / "espcn_subpixel" / "quant_model.onnx"
        x = rng.random((1, 3, 128, 128), dtype=np.float32)
        program = import_onnx(path)
        want = run(program, {program.inputs[0].name: x})[program.outputs[0].name]
        return Case(path, x, want, step=1 / 255)
    if name == "espcn_float":
        path, x = models / "espcn_subpixel" / "float_model.onnx", rng.random((7, 3, 4, 4), dtype=np.float32)
        return Case(path, x, onnxruntime_outputs(path, x))
    if name == "demo":
        data = np.load(DEMO / "digits_test.npz")
        return Case(DEMO / "digits_ternary.onnx", data["image"], data["logits"])
    path = models / f"alibaba_model_{name}.onnx"
    shape = {"ic": (3, 32, 32), "kws": (1, 49, 10), "vww": (3, 96, 96)}[name]
    shape = import_onnx(path).inputs[0].shape[1:] or shape
    x = rng.normal(size=(8, *shape)).astype(np.float32)
    return Case(path, x, onnxruntime_outputs(path, x))


NAMES = ("cnv_w2a2", "cnv_w1a1", "kws_w3a3", "espcn_quantized", "espcn_float", "ic", "kws", "vww", "demo")


@pytest.fixture
def emulated_lanes() -> Iterator[str]:
    """The v4 target's vectors, tiles and choices in code for v3, so that they can run without AVX-512."""
    v3, v4 = TARGETS["x86-64-v3"], TARGETS["x86-64-v4"]
    if runs_here(v3):
        pytest.skip(runs_here(v3))
    TARGETS[EMULATED] = replace(v4, name=EMULATED, flags=v3.flags, features=v3.features, instructions={})
    yield EMULATED
    del TARGETS[EMULATED]


def check(case: Case, target: str, tmp_path: Path) -> None:
    compiled = compile(case.path, tmp_path / "model.tercet", target=target)
    for threads in (1, 2):
        with load(compiled.path, threads=threads) as model:
            (name,) = (port.name for port in model.inputs)
            (output,) = (port.name for port in model.outputs)
            for batch in (1, 7):
                count = min(len(case.x), 100) // batch * batch
                got = [model.run({name: case.x[i : i + batch]})[output] for i in range(0, count, batch)]
                compare(np.concatenate(got), case.want[:count].reshape(-1, *case.want.shape[1:]), case)


def compare(got: np.ndarray, want: np.ndarray, case: Case) -> None:
    error = np.abs(got - want)
    limit = case.rtol * np.abs(want).max()
    if case.step:
        # float32 sums in another order move a few values over the edge of a quantization step
        one_step = (error > limit) & (error <= case.step * 1.001)
        assert one_step.mean() < 1e-4
        error = np.where(one_step, 0, error)
    assert error.max() <= limit


@pytest.mark.slow
@pytest.mark.parametrize("target", ["x86-64-v4", "x86-64-v3", "generic"])
@pytest.mark.parametrize("name", NAMES)
def test_compiled_model(name: str, target: str, models: Path, tmp_path: Path) -> None:
    if reason := runs_here(TARGETS[target]):
        pytest.skip(reason)
    case = build_case(name, models)
    if name == "espcn_quantized":
        case = replace(case, x=np.repeat(case.x, 7, 0), want=np.repeat(case.want, 7, 0))
    check(case, target, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnv_w2a2", "ic", "demo"])
def test_v4_lanes_on_other_cpus(name: str, models: Path, tmp_path: Path, emulated_lanes: str) -> None:
    check(build_case(name, models), emulated_lanes, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_verifies_and_round_trips(name: str, models: Path) -> None:
    labels = []

    def observe(label: str, program: Program) -> None:
        text = program.text()
        again = Program.parse(text, program.weights)
        again.verify()
        assert again.text() == text, label
        labels.append(label)

    run_passes(import_onnx(build_case(name, models).path), stages(TARGETS["x86-64-v3"], list(ENGINES)), observe)
    assert len(labels) == len(set(labels)) >= 10


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
