"""Measuring one layer, or the network, with all its candidates, alternately."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tercet.runtime.check.timing import Spread

from .clock import Clock, LeftOut, interleave
from .layers import KINDS, LAYERS, Kind, Layer, kind_input, kind_model
from .networks import NETWORKS, image
from .ours import Build, Ours, open_layer, open_network
from .worker import Worker

OURS = "tercet "
NETWORK = "ResNet-18"


@dataclass
class Measured:
    """Seconds of every candidate in every round for one subject, and remarks by candidate: what it is made of, or why
    it is missing."""

    subject: str
    threads: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def ratio(self, ours: str, theirs: Sequence[str]) -> Spread | None:
        """The time of the fastest of `theirs` over that of `ours`, round by round; above 1 `ours` is faster. None where
        `ours` or all of `theirs` were not measured."""
        present = [self.seconds[name] for name in theirs if name in self.seconds]
        if ours not in self.seconds or not present:
            return None
        fastest = min(present, key=median)
        return Spread.of([b / a for a, b in zip(self.seconds[ours], fastest, strict=True)])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Setting:
    """How to measure. kinds, networks: tercet's candidates. peers: names of worker.PEERS. artifacts: their folder.
    active: shares of ternary activations that are not zero, each a candidate; empty for the usual one."""

    build: Build
    threads: int
    rounds: int
    kinds: Sequence[str]
    networks: Sequence[str]
    peers: Sequence[str]
    artifacts: Path
    active: Sequence[float] = ()


def kinds_of(layer: Layer, kinds: Sequence[str], active: Sequence[float] = ()) -> dict[str, Kind]:
    """The kinds that a layer is measured in, those of ternary activations with each share of active ones. A first layer
    has no quantized input."""
    stem = bool(layer.convs) and layer.convs[0].inputs == 3
    found = {name: KINDS[name] for name in kinds if not (stem and KINDS[name].bits in (1, 2))}
    if not active:
        return found
    return {
        f"{name} {share:.0%}" if kind.bits == 2 else name: replace(kind, active=share)
        for name, kind in found.items()
        for share in active
    }


def measure_layer(name: str, setting: Setting, workers: Mapping[str, Worker]) -> Measured:
    layer = LAYERS[name]
    found = Measured(name, setting.threads)

    def ours() -> Iterator[tuple[str, Ours | LeftOut]]:
        for kind_name, kind in kinds_of(layer, setting.kinds, setting.active).items():
            try:
                opened: Ours | LeftOut = open_layer(
                    partial(kind_model, layer, kind), kind_input(layer, kind),
                    artifact_path(setting, f"{name} {kind_name}"), build=setting.build, threads=setting.threads,
                    whole=layer.linear is not None,
                )  # fmt: skip
            except LeftOut as error:
                opened = error
            yield kind_name, opened

    return _measure(found, ours(), name, setting, workers)


def measure_network(setting: Setting, workers: Mapping[str, Worker]) -> Measured:
    found = Measured(NETWORK, setting.threads)

    def ours() -> Iterator[tuple[str, Ours | LeftOut]]:
        for name in setting.networks:
            path = artifact_path(setting, f"{NETWORK} {name}")
            try:
                opened: Ours | LeftOut = open_network(
                    NETWORKS[name], image(), path, build=setting.build, threads=setting.threads
                )
            except LeftOut as error:
                opened = error
            yield name, opened

    return _measure(found, ours(), "", setting, workers)


def artifact_path(setting: Setting, name: str) -> Path:
    build = setting.build
    aim = "" if build.optimize == "speed" else f" {build.optimize}"
    return setting.artifacts / (re.sub(r"[^\w.@-]+", "_", f"{name} {build.target}{aim}") + ".tercet")


def _measure(
    found: Measured,
    ours: Iterator[tuple[str, Ours | LeftOut]],
    subject: str,
    setting: Setting,
    workers: Mapping[str, Worker],
) -> Measured:
    clocks: dict[str, Clock] = {}
    models = []
    try:
        for name, opened in ours:
            found.remarks[OURS + name] = str(opened) if isinstance(opened, LeftOut) else opened.detail
            if isinstance(opened, Ours):
                clocks[OURS + name] = opened.clock
                models.append(opened.model)
        for peer in setting.peers:
            library, _, form = peer.partition(" ")
            try:
                clock = workers[library].open(subject, form)
                clock(1)
                clocks[peer] = clock
            except LeftOut as error:
                found.remarks[peer] = str(error)
        if clocks:
            found.seconds = interleave(clocks, setting.rounds)
    except LeftOut as error:
        found.remarks["the measurement"] = str(error)
    finally:
        for worker in workers.values():
            worker.forget()
        for model in models:
            model.close()
    return found
