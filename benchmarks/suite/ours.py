"""tercet's own candidates: a model compiled, checked against onnxruntime, and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import onnx

import tercet

from .clock import Clock, LeftOut, time_source, timed

if TYPE_CHECKING:
    from tercet.runtime.artifact.layers import Layer as Step
    from tercet.runtime.load.loader import LoadedModel

COMPUTE = ("tn.conv", "tn.matmul")
LAYER_ERROR, NETWORK_ERROR = 1e-2, 0.2
"""Norm of the difference from the reference, of the reference's norm, that is still the same result. In a network, or a
chain in int8, one value beside a quantizer's edge, moved by another order of a float sum, changes much of what
follows; unrelated outputs have an error of 1.4."""


@dataclass(frozen=True)
class Ours:
    """A compiled candidate. detail: the engines that compute it and how far it is from the reference."""

    model: LoadedModel
    clock: Clock
    detail: str


@dataclass(frozen=True)
class Build:
    """How artifacts are made: the target, speed or size, and whether those that are there already will do."""

    target: str
    optimize: str = "speed"
    reuse: bool = False


class Source(Protocol):
    """A model by its quantizers: in QONNX, or in standard operators with the same meaning."""

    def __call__(self, *, standard: bool = False) -> onnx.ModelProto: ...


def open_layer(source: Source, x: np.ndarray, path: Path, *, build: Build, threads: int, whole: bool) -> Ours:
    """A layer or chain of layers. Its steps count from the first that computes to the last, so without what brings the
    model's input into shape; `whole`: all of them. Their share of a run is measured in the compiled code. Raises
    LeftOut."""
    model = _compiled(source, path, build, threads)
    steps = model.layers
    computing = [i for i, step in enumerate(steps) if set(step.ops) & set(COMPUTE)]
    first, last = (0, len(steps) - 1) if whole or not computing else (computing[0], computing[-1])

    now = time_source(threads)

    def clock(calls: int) -> float:
        start = now()
        seconds = model.profile({"x": x}, repeats=calls)
        return (now() - start) / (calls + 1) * sum(seconds[first : last + 1]) / sum(seconds)

    error = _checked(source, model, x, LAYER_ERROR)
    return Ours(model, clock, f"{_engines(steps[first : last + 1])}; {error}")


def open_network(source: Source, x: np.ndarray, path: Path, *, build: Build, threads: int) -> Ours:
    """A whole network, timed from call to return. Raises LeftOut."""
    model = _compiled(source, path, build, threads)
    error = _checked(source, model, x, NETWORK_ERROR)
    return Ours(model, timed(lambda: model.run({"x": x}), threads), f"{_engines(model.layers)}; {error}")


def _compiled(source: Source, path: Path, build: Build, threads: int) -> LoadedModel:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not (build.reuse and path.exists()):
            tercet.compile(source(), path, target=build.target, optimize=build.optimize)
        return tercet.load(path, threads=threads)
    except tercet.TercetError as error:
        raise LeftOut(str(error)) from error


def _engines(steps: Sequence[Step]) -> str:
    """The engines of the steps with what they are predicted to cost most first."""
    cycles: dict[str, float] = {}
    for step in steps:
        cycles[step.engine] = cycles.get(step.engine, 0.0) + step.cycles
    return " + ".join(sorted(cycles, key=lambda engine: -cycles[engine]))


def _checked(source: Source, model: LoadedModel, x: np.ndarray, limit: float) -> str:
    """How far the model is from onnxruntime's results without optimisations. Raises LeftOut where that is too far."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    reference = source(standard=True).SerializeToString()
    session = ort.InferenceSession(reference, options, providers=["CPUExecutionProvider"])
    error = relative_error(model.run({"x": x})["y"], np.asarray(session.run(None, {"x": x})[0]))
    if error > limit:
        raise LeftOut(f"WRONG: differs from onnxruntime by {error:.1e} of the norm")
    return "equal" if error == 0 else f"error {error:.0e}"


def relative_error(have: np.ndarray, want: np.ndarray) -> float:
    """|have - want| / |want| in the Euclidean norm; infinite for NaN, other shapes, and where only `want` is zero."""
    if have.shape != want.shape:
        return float("inf")
    a, b = have.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    difference, norm = float(np.linalg.norm(a - b)), float(np.linalg.norm(b))
    if not np.isfinite(difference):
        return float("inf")
    return difference / norm if norm else (float("inf") if difference else 0.0)
