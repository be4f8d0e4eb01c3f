"""Two builds of one model, step by step: python benchmarks/builds.py OLD.tercet NEW.tercet

Both artifacts run in one process, alternately, through C functions that all versions of tercet give them, so that
builds of older versions can be compared too; and in several processes, since a step may take a tenth longer or shorter
by where its code and data happen to lie. Ratios above 1: the new build takes longer.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tercet.runtime.check.timing import pinned

Steps: TypeAlias = "dict[str, float]"
"""Seconds by source nodes; steps that convert for a kernel count to its nodes."""

LEAST_SHARE = 0.01
"""Of the whole: shorter steps are not judged, the clock decides them."""


class Build:
    """One artifact, loaded and ready to run its steps."""

    def __init__(self, path: Path, folder: Path) -> None:
        with zipfile.ZipFile(path) as file:
            file.extractall(folder)
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        self.layers = layers_of((folder / "layers.json").read_text())
        (library,) = (folder / "lib").glob("*.so")
        self._library, self._prefix = ctypes.CDLL(str(library)), self.manifest["prefix"]
        self._model = ctypes.c_void_p()
        if self._function("create")(ctypes.byref(self._model), 1):
            raise SystemExit(f"{path} cannot be created on this machine")

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"{self._prefix}_{name}")

    def buffers(self, kind: str, rng: np.random.Generator) -> list[np.ndarray]:
        """Arrays for the inputs or outputs of one sample; inputs with values of their range."""
        made = []
        for port in self.manifest[kind]:
            if port["range"] is None:
                made.append(rng.normal(size=port["shape"]).astype(np.float32))
            else:
                low, high = max(port["range"][0], -128), min(port["range"][1], 127)
                made.append(rng.integers(low, high, port["shape"], endpoint=True).astype(port["stored"]))
        return made

    def run(self, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> np.ndarray:
        """Seconds of each step, of one sample."""
        seconds = np.zeros(len(self.layers))
        pointers = [(ctypes.c_void_p * len(side))(*(a.ctypes.data for a in side)) for side in (inputs, outputs)]
        status = self._function("run_steps")(
            self._model, ctypes.c_int64(1), *pointers, -1, seconds.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
        )
        if status:
            raise SystemExit(f"{self._prefix} cannot run: status {status}")
        return seconds

    def by_nodes(self, seconds: np.ndarray) -> Steps:
        found: Steps = {}
        for layer, value in zip(self.layers, seconds, strict=True):
            found[node_of(layer)] = found.get(node_of(layer), 0.0) + float(value)
        return found


def layers_of(text: str) -> list[dict[str, Any]]:
    """The steps of a layers.json of any version."""
    layers = json.loads(text)
    return layers["layers"] if isinstance(layers, dict) else layers


def node_of(layer: dict[str, Any]) -> str:
    """The source nodes of a step; of one that converts for a kernel, the kernel's."""
    return " + ".join(n.partition(":")[2] for n in layer["nodes"]) or layer["engine"]


def engines(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as file:
        return {node_of(layer): layer["engine"] for layer in layers_of(file.read("layers.json").decode())}


def measure(paths: tuple[Path, Path], rounds: int, turn: int) -> tuple[bool, list[tuple[Steps, Steps]]]:
    """Whether the outputs are the same, and the steps of both builds in every round. turn: odd loads the new first."""
    with tempfile.TemporaryDirectory() as folder, pinned(1):
        order = (1, 0) if turn % 2 else (0, 1)
        loaded = {i: Build(paths[i], Path(folder) / str(i)) for i in order}
        inputs = loaded[0].buffers("inputs", np.random.default_rng(0))
        outputs = {i: loaded[i].buffers("outputs", np.random.default_rng(1)) for i in order}
        found = []
        for r in range(rounds):
            times: list[Steps] = [{}, {}]
            for i in order if r % 2 else order[::-1]:
                best = np.min([loaded[i].run(inputs, outputs[i]) for _ in range(5)], axis=0)
                times[i] = loaded[i].by_nodes(best)
            found.append((times[0], times[1]))
    return all(np.array_equal(a, b) for a, b in zip(outputs[0], outputs[1], strict=True)), found


def main() -> int:
    parser = argparse.ArgumentParser(description="Two builds of one model, step by step.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="in each process")
    parser.add_argument("--processes", type=int, default=8, help="one after the other: where memory lies counts, too")
    options = parser.parse_args()
    rounds: list[tuple[Steps, Steps]] = []
    paths, same = (options.old, options.new), True
    for turn in range(options.processes):
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            equal, found = apart.submit(measure, paths, options.rounds, turn).result()
        same, rounds = same and equal, rounds + found
    print(f"outputs are {'the same' if same else 'DIFFERENT'}")
    old, new = (engines(path) for path in paths)
    total = np.median([sum(times[0].values()) for times in rounds])
    for name in [n for n in new if n in old]:
        ratios = [times[1][name] / times[0][name] for times in rounds if times[0][name]]
        if ratios and np.median([times[0][name] for times in rounds]) > LEAST_SHARE * total:
            low, middle, high = np.percentile(ratios, (25, 50, 75))
            print(f"{middle:5.2f} ({low:.2f} to {high:.2f})  {name}: {old[name]} -> {new[name]}")
    whole = np.median([sum(times[1].values()) / sum(times[0].values()) for times in rounds])
    print(f"{whole:5.2f}  all steps")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
