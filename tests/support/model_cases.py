"""Trained models with inputs and expected outputs, for the tests that run them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from tercet.api import import_model
from tercet.backends.reference.interpreter import run

DEMO = Path(__file__).parents[2] / "examples" / "digits"


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
        program = import_model(path)
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
    shape = import_model(path).inputs[0].shape[1:] or shape
    x = rng.normal(size=(8, *shape)).astype(np.float32)
    return Case(path, x, onnxruntime_outputs(path, x))


NAMES = ("cnv_w2a2", "cnv_w1a1", "kws_w3a3", "espcn_quantized", "espcn_float", "ic", "kws", "vww", "demo")


def compare(got: np.ndarray, want: np.ndarray, case: Case) -> None:
    error = np.abs(got - want)
    limit = case.rtol * np.abs(want).max()
    if case.step:
        # float32 sums in another order move a few values over the edge of a quantization step
        one_step = (error > limit) & (error <= case.step * 1.001)
        assert one_step.mean() < 1e-4
        error = np.where(one_step, 0, error)
    assert error.max() <= limit
