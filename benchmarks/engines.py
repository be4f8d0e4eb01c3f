"""Engines against each other on a layer of the benchmark: each compiled alone, and timed alternately.

    python benchmarks/engines.py 'linear 4096 x1' ternary/fp32 linear_f32 dense_f32
    python benchmarks/engines.py '3x3 256@14' ternary/ternary popcount table --target x86-64-v3

Prints the median over the rounds of each round's fastest run, one thread, beside what the cost model predicts. Steps
that the engine refuses run in `loops`; an engine that computes no step of the layer is named and left out.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from suite.layers import DEPTHWISE, KINDS, LAYERS, kind_input, kind_model

import tercet
from tercet.runtime.artifact.layers import Layer as Step
from tercet.runtime.check.timing import cpu_name, pinned
from tercet.runtime.load.loader import LoadedModel

ALL = {**LAYERS, **DEPTHWISE}
COMPUTE = {"tn.conv", "tn.matmul"}


def opened(name: str, engine: str, kind: str, target: str, folder: Path) -> tuple[LoadedModel, list[Step]]:
    """The layer compiled with one engine, and the steps that engine computes."""
    model = kind_model(ALL[name], KINDS[kind])
    compiled = tercet.compile(model, folder / f"{engine}.tercet", target=target, engines=[engine])
    steps = [step for step in compiled.layers if step.engine == engine and COMPUTE & set(step.ops)]
    return tercet.load(compiled.path, threads=1), steps


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("layer", choices=ALL, metavar="LAYER")
    parser.add_argument("kind", choices=KINDS, metavar="KIND")
    parser.add_argument("engine", nargs="+")
    parser.add_argument("--target", default="native")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=5, help="of an engine in a round (default: %(default)s)")
    options = parser.parse_args()
    x = kind_input(ALL[options.layer], KINDS[options.kind])
    with tempfile.TemporaryDirectory() as folder, pinned(1):
        found = {e: opened(options.layer, e, options.kind, options.target, Path(folder)) for e in options.engine}
        times: dict[str, list[float]] = {engine: [] for engine, (_, steps) in found.items() if steps}
        for _ in range(options.rounds):
            for engine, own in times.items():
                own.append(min(_timed(found[engine][0], x) for _ in range(options.runs)))
        print(f"{options.layer}, {options.kind}, {options.target}, {cpu_name()}")
        for engine, (_, steps) in found.items():
            if engine not in times:
                print(f"{engine:14} computes no step of it")
                continue
            cycles = sum(step.cycles for step in steps) / 1e6
            stored = sum(step.weight_bytes_stored for step in steps) * 8 / sum(step.weight_count for step in steps)
            print(
                f"{engine:14} {statistics.median(times[engine]):8.3f} ms   predicted {cycles:8.3f} million cycles   "
                f"{stored:5.2f} bits a weight   {steps[0].schedule}"
            )


def _timed(model: LoadedModel, x: object) -> float:
    """Milliseconds of one run."""
    begin = time.perf_counter()
    model.run(x)
    return (time.perf_counter() - begin) * 1e3


if __name__ == "__main__":
    main()
