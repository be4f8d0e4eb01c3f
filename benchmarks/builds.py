"""Two builds of one model, step by step: python benchmarks/builds.py OLD.tercet NEW.tercet

Both artifacts run in this process, alternately, through C functions that all versions of tercet give them, so that
builds of older versions can be compared too. Ratios above 1: the new build takes longer.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tercet.runtime.check.timing import pinned

LEAST_SHARE = 0.01
"""Of the whole: shorter steps are not judged, the clock decides them."""


class Build:
    """One artifact, loaded and ready to run its steps."""

    def __init__(self, path: Path, folder: Path) -> None:
        with zipfile.ZipFile(path) as file:
            file.extractall(folder)
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        layers = json.loads((folder / "layers.json").read_text())
        self.layers: list[dict[str, Any]] = layers["layers"] if isinstance(layers, dict) else layers
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

    def by_nodes(self, seconds: np.ndarray) -> dict[str, float]:
        """Seconds by source nodes; steps that convert for a kernel count to its nodes."""
        found: dict[str, float] = {}
        for layer, value in zip(self.layers, seconds, strict=True):
            name = " + ".join(n.partition(":")[2] for n in layer["nodes"]) or layer["engine"]
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def engines(self) -> dict[str, str]:
        return {
            " + ".join(n.partition(":")[2] for n in layer["nodes"]) or layer["engine"]: layer["engine"]
            for layer in self.layers
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="Two builds of one model, step by step.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, pinned(1):
        builds = [Build(path, Path(folder) / side) for side, path in (("old", options.old), ("new", options.new))]
        inputs = builds[0].buffers("inputs", np.random.default_rng(0))
        outputs = [build.buffers("outputs", np.random.default_rng(1)) for build in builds]
        rounds: list[list[dict[str, float]]] = []
        for r in range(options.rounds):
            times: list[dict[str, float]] = [{}, {}]
            for i in (0, 1) if r % 2 else (1, 0):
                best = np.min([builds[i].run(inputs, outputs[i]) for _ in range(5)], axis=0)
                times[i] = builds[i].by_nodes(best)
            rounds.append(times)
    same = all(np.array_equal(a, b) for a, b in zip(*outputs, strict=True))
    print(f"outputs are {'the same' if same else 'DIFFERENT'}")
    old, new = builds[0].engines(), builds[1].engines()
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
