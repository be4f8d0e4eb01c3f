"""How fast is a compiled artifact, and how does it compare with other runtimes on the same model?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.errors import InputError, TercetError, UnsupportedError
from ..load.loader import LoadedModel, load
from .bench_report import BenchReport, LayerTime, PeerTimes
from .compare import difference
from .samples import Arrays, random_samples
from .timing import Spread, cpu_name, interleave, pinned

if TYPE_CHECKING:
    from onnx import ModelProto

    from .ort import Session

PEERS = ("onnxruntime",)
ROUNDS = 25
TRIALS = 5
"""Runs that decide which form of a model a peer is fastest with."""
AGREE = 1e-3
"""Below this a peer's outputs count as the same results: its optimisations need not be exact."""


@dataclass(frozen=True)
class PeerModel:
    """The model in a form that peers run, and what the report calls it."""

    form: str
    model: ModelProto | Path


@dataclass(frozen=True)
class Peers:
    """models: what peers run, each in the form that it is fastest with. why: there are none."""

    models: Sequence[PeerModel] = ()
    why: str = "they need the source model, which an artifact does not hold"


NO_PEERS = Peers()


def bench_artifact(
    path: str | Path,
    *,
    peers: Peers = NO_PEERS,
    against: Sequence[str] = PEERS,
    threads: int = 1,
    batch: int = 1,
    repeats: int = ROUNDS,
    per_layer: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> BenchReport:
    """Times an artifact and its peers alternately, in this process, all on the same `threads` CPUs.

    repeats: rounds. Raises InputError for unknown peers and a batch the artifact does not take, ArtifactError where it
    cannot be loaded.
    """
    if unknown := [name for name in against if name not in PEERS]:
        raise InputError(f"unknown peer '{unknown[0]}'", hint=f"one of: {', '.join(PEERS)}, none")
    if batch < 1 or repeats < 1:
        raise InputError(f"expected batch and repeats of 1 or more, got {batch} and {repeats}")
    tell = on_progress or (lambda what: None)
    notes: list[str] = []
    with pinned(threads) as cpus, load(path, threads=threads) as model:
        if not cpus:
            notes.append(f"not pinned: fewer than {threads} CPUs, or the system cannot")
        if model.threads < threads:
            notes.append(f"{threads} threads asked for, {model.threads} used: as many as this process may use CPUs")
        if len(names := model.manifest.target_names) > 1:
            notes.append(f"target {model.target} was chosen among {', '.join(names)}")
        inputs = _inputs(model, batch)
        runners = _peers(model, peers, against, inputs, threads, batch, notes) if against else []
        calls: list[Callable[[], Any]] = [lambda: model.run(inputs), *(call for _, call in runners)]
        seconds = interleave(calls, repeats, on_round=lambda r: tell(f"round {r} of {repeats}"))
        ours = model.run(inputs)
        results = [
            PeerTimes(name, form, tuple(times), Spread.of_ratio(times, seconds[0]), _agreement(ours, call()))
            for ((name, form), call), times in zip(runners, seconds[1:], strict=True)
        ]
        layers = _profile(model, inputs) if per_layer else ()
        return BenchReport(
            str(path), model.name, model.target, cpu_name(), model.threads, batch, cpus,
            tuple(seconds[0]), sum(layer.weight_bytes_stored for layer in model.layers), model.arena_bytes,
            tuple(results), layers, tuple(notes),
        )  # fmt: skip


Peer = tuple[tuple[str, str], Callable[[], Mapping[str, np.ndarray]]]


def _inputs(model: LoadedModel, batch: int) -> Arrays:
    if batch != 1 and not model.manifest.batched:
        hint = "compile the model with --batch N instead"
        raise InputError(f"the artifact does not take a batch of {batch}", where=model.name, hint=hint)
    ranges = {port.name: (port.range[0], port.range[1]) for port in model.inputs if port.range}
    return random_samples(model.inputs, batched=model.manifest.batched, count=batch, ranges=ranges).runs[0]


def _peers(
    model: LoadedModel,
    peers: Peers,
    against: Sequence[str],
    inputs: Arrays,
    threads: int,
    batch: int,
    notes: list[str],
) -> list[Peer]:
    if not peers.models:
        notes.append(f"no peers: {peers.why}")
        return []
    found: list[Peer] = []
    for name in against:
        try:
            found.append(_onnxruntime(peers.models, inputs, threads, batch, batched=model.manifest.batched))
        except TercetError as error:
            notes.append(f"{name} left out: {error.what}")
    return found


def _onnxruntime(models: Sequence[PeerModel], inputs: Arrays, threads: int, batch: int, *, batched: bool) -> Peer:
    """In the form that it is fastest with. Raises UnsupportedError where it takes none of them."""
    from .ort import open_session, read_model

    sessions: list[tuple[str, Session]] = []
    problem = UnsupportedError("it takes the model in no form")
    for one in models:
        model = read_model(one.model)
        try:
            sessions.append((one.form, open_session(_with_batch(model, batch) if batched else model, threads=threads)))
        except UnsupportedError as error:
            problem = error
    if not sessions:
        raise problem
    calls = [_call(session, inputs, batch) for _, session in sessions]
    seconds = [min(times) for times in interleave(calls, TRIALS)] if len(calls) > 1 else [0.0]
    fastest = seconds.index(min(seconds))
    return ("onnxruntime", sessions[fastest][0]), calls[fastest]


def _call(session: Session, inputs: Arrays, batch: int) -> Callable[[], Mapping[str, np.ndarray]]:
    """What runs a session once. Raises UnsupportedError where it fails."""
    if len(session.inputs) != len(inputs):
        raise UnsupportedError(f"the source has {len(session.inputs)} inputs, the artifact {len(inputs)}")
    named = dict(zip(session.inputs, inputs.values(), strict=True)) if set(session.inputs) != set(inputs) else inputs
    try:
        session.run(named)
    except Exception as error:
        raise UnsupportedError(f"it fails on a batch of {batch}: {str(error).splitlines()[0][:200]}") from error
    return lambda: session.run(named)


def _with_batch(model: ModelProto, batch: int) -> ModelProto:
    """A copy whose inputs and outputs have the leading size `batch` where the file says 1."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    constants = {i.name for i in copy.graph.initializer}
    for port in [*(i for i in copy.graph.input if i.name not in constants), *copy.graph.output]:
        dims = port.type.tensor_type.shape.dim
        if batch != 1 and dims and dims[0].dim_value == 1:
            dims[0].dim_value = batch
    if batch != 1:
        del copy.graph.value_info[:]
    return copy


def _agreement(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> str:
    worst = [difference(ours[name], theirs[name], AGREE) for name in ours if name in theirs]
    if not worst:
        return "outputs cannot be compared: other names"
    far = max(worst, key=lambda found: (bool(found.problem), found.relative))
    if far.problem:
        return f"outputs DIFFER: {far.text}"
    if not far.ok:
        few = far.wrong <= far.count / 1000  # one quantization step off, say, where another order of sums rounds so
        return f"outputs {'differ' if few else 'DIFFER'} in {far.wrong} of {far.count} elements, by {far.absolute:.2g}"
    return "same outputs" if not far.absolute else f"same outputs (largest difference {far.relative:.1e} relative)"


def _profile(model: LoadedModel, inputs: Arrays) -> tuple[LayerTime, ...]:
    seconds = model.profile(inputs, repeats=30)
    return tuple(
        LayerTime(
            layer.symbol,
            layer.engine,
            layer.nodes,
            s,
            layer.cycles,
            layer.measured,
            layer.bits_per_weight,
            layer.weights_in_code,
        )
        for layer, s in zip(model.layers, seconds, strict=True)
    )
