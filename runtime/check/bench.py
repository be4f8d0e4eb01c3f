"""How fast is a compiled artifact, and how does it compare with other runtimes on the same model?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ...ir.errors import InputError, TercetError, UnsupportedError
from ..artifact.manifest import Manifest
from ..load.loader import LoadedModel, load
from .bench_report import BenchReport, LayerTime, PeerTimes
from .compare import difference
from .samples import Arrays, random_samples
from .timing import Spread, cpu_name, interleave, pinned
from .tvm_session import LibrarySession, PeerLibrary

if TYPE_CHECKING:
    from onnx import ModelProto

    from .ort import Session

ONNXRUNTIME, TVM, TVM_TUNED = "onnxruntime", "tvm", "tvm-tuned"
PEERS = (ONNXRUNTIME, TVM, TVM_TUNED)
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
    """models: what onnxruntime runs, in the form that it is fastest with. libraries: what others run. why: there are no
    models. left_out: why there are no libraries of a peer, by its name."""

    models: Sequence[PeerModel] = ()
    why: str = "they need the source model, which an artifact does not hold (--source names it)"
    libraries: Sequence[PeerLibrary] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


NO_PEERS = Peers()


def bench_artifact(
    path: str | Path,
    *,
    peers: Peers = NO_PEERS,
    against: Sequence[str] = (ONNXRUNTIME,),
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
    check_peers(against)
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


def check_peers(against: Sequence[str]) -> None:
    """Raises InputError for names that are no peers."""
    if unknown := [name for name in against if name not in PEERS]:
        raise InputError(f"unknown peer '{unknown[0]}'", hint=f"one of: {', '.join(PEERS)}, none")


Peer = tuple[tuple[str, str], Callable[[], Mapping[str, np.ndarray]]]
AnySession: TypeAlias = "Session | LibrarySession"


def check_batch(manifest: Manifest, batch: int) -> None:
    """Raises InputError for one that the artifact does not take."""
    if batch != 1 and not manifest.batched:
        hint = "compile the model with --batch N instead"
        raise InputError(f"the artifact does not take a batch of {batch}", where=manifest.name, hint=hint)


def _inputs(model: LoadedModel, batch: int) -> Arrays:
    check_batch(model.manifest, batch)
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
            if name == ONNXRUNTIME:
                sessions = _onnxruntime(peers.models, threads, batch if model.manifest.batched else 1)
            else:
                sessions = _libraries(peers, name)
            found.append(_fastest(name, sessions, inputs, batch))
        except TercetError as error:
            notes.append(f"{name} left out: {error.what}")
    return found


def _onnxruntime(models: Sequence[PeerModel], threads: int, batch: int) -> list[tuple[str, AnySession]]:
    """By form. Raises UnsupportedError where it takes none of them."""
    from .ort import open_session, read_model, with_batch

    sessions: list[tuple[str, AnySession]] = []
    problem = UnsupportedError("it takes the model in no form")
    for one in models:
        model = read_model(one.model)
        try:
            sessions.append((one.form, open_session(with_batch(model, batch), threads=threads)))
        except UnsupportedError as error:
            problem = error
    if not sessions:
        raise problem
    return sessions


def _libraries(peers: Peers, name: str) -> list[tuple[str, AnySession]]:
    """By form. Raises UnsupportedError where there is none."""
    built = [one for one in peers.libraries if one.peer == name]
    found: list[tuple[str, AnySession]] = [(one.form, LibrarySession(one)) for one in built]
    if not found:
        raise UnsupportedError(peers.left_out.get(name) or "it takes the model in no form")
    return found


def _fastest(name: str, sessions: Sequence[tuple[str, AnySession]], inputs: Arrays, batch: int) -> Peer:
    """The peer in the form that it is fastest with."""
    calls = [_call(session, inputs, batch) for _, session in sessions]
    seconds = [min(times) for times in interleave(calls, TRIALS)] if len(calls) > 1 else [0.0]
    fastest = seconds.index(min(seconds))
    return (name, sessions[fastest][0]), calls[fastest]


def _call(session: AnySession, inputs: Arrays, batch: int) -> Callable[[], Mapping[str, np.ndarray]]:
    """What runs a session once. Raises UnsupportedError where it fails."""
    named = dict(zip(session.inputs, inputs.values(), strict=True)) if set(session.inputs) != set(inputs) else inputs
    try:
        session.run(named)
    except Exception as error:
        raise UnsupportedError(f"it fails on a batch of {batch}: {str(error).splitlines()[0][:200]}") from error
    return lambda: session.run(named)


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
