"""The adder-graph engine against the table and bit-sliced engines on single convolutions, alternately.

    python benchmarks/adder_graph.py [--rounds 15] [--only TEXT] [--artifacts DIR] [--json FILE]

Each layer is compiled once for every engine (and stands before a second convolution, so that its result is a feature
map in planes). Every round times all of them in turn; the ratios are medians over the rounds of the time of the faster
of the other two to the adder graph's. `chosen` is what the compiler takes when it is free to choose.
"""

import argparse
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tercet
from tercet.ir.locations import node_location
from tercet.ir.program import Port, Program
from tercet.ir.tn.linear import ConvOp
from tercet.ir.tn.quant import ThresholdOp
from tercet.ir.types import TERNARY, Element, element_of, int_type, range_of, storage_dtype, tensor_type
from tercet.runtime.artifact.layers import Layer as Step
from tercet.runtime.load.loader import LoadedModel

ENGINES = ("table", "bit_sliced", "adder_graph")


@dataclass(frozen=True)
class Layer:
    """A convolution of a square map, as wide as high, whose padding keeps its size but for the stride."""

    inputs: int
    outputs: int
    size: int
    kernel: int = 3
    group: int = 1
    stride: int = 1
    weights: str = "ternary"
    density: float = 2 / 3
    x: Element = TERNARY

    @property
    def name(self) -> str:
        lo, hi = range_of(self.x)
        parts = [f"{self.inputs}->{self.outputs} {self.kernel}x{self.kernel} @{self.size}"]
        parts += [f"group {self.group}"] if self.group > 1 else []
        parts += [f"stride {self.stride}"] if self.stride > 1 else []
        return ", ".join([*parts, f"{self.weights} {self.density:.0%}", f"x {lo}..{hi}"])

    def random_weights(self, random: np.random.Generator) -> np.ndarray:
        shape = (self.outputs, self.inputs // self.group, self.kernel, self.kernel)
        there = random.random(shape) < self.density
        signs = (len(shape) - 1) * (1,) if self.weights == "signed-binary" else shape[1:]
        return (there * random.choice([-1, 1], (shape[0], *signs))).astype(np.int8)


LAYERS = [
    Layer(3, 16, 32),
    Layer(16, 16, 32),
    Layer(16, 16, 8),
    Layer(32, 32, 16),
    Layer(32, 32, 7),
    Layer(32, 32, 28, weights="binary", density=1.0),
    Layer(32, 32, 28, weights="signed-binary", density=0.35),
    Layer(32, 32, 28, x=int_type(0, 3)),
    Layer(32, 32, 28, x=int_type(0, 1)),
    Layer(64, 64, 28, kernel=1),
    Layer(128, 128, 28, kernel=1),
    Layer(64, 64, 28, group=64),
    Layer(64, 64, 28, group=64, x=int_type(0, 3)),
    Layer(32, 64, 56, stride=2),
    Layer(16, 128, 28),
    Layer(128, 16, 28),
    Layer(64, 64, 28),
    Layer(64, 64, 28, density=0.2),
    Layer(64, 64, 56),
    Layer(64, 64, 56, x=int_type(0, 1)),
    Layer(64, 64, 56, weights="binary", density=1.0),
    Layer(64, 64, 56, weights="signed-binary", density=0.35),
    Layer(64, 128, 56, stride=2),
    Layer(128, 128, 28),
    Layer(128, 128, 28, weights="signed-binary", density=0.35),
    Layer(128, 128, 28, density=0.2),
    Layer(256, 32, 14),
    Layer(256, 128, 14, kernel=1),
    Layer(512, 64, 14, kernel=1),
    Layer(1024, 64, 14, kernel=1),
    Layer(512, 16, 7, density=0.5),
    Layer(64, 64, 7),
    Layer(16, 16, 1),
]


def network(layer: Layer, random: np.random.Generator) -> Program:
    """The layer with two thresholds, then a small convolution that reads its result."""
    kind = tensor_type((1, layer.inputs, layer.size, layer.size), layer.x)
    program = Program.new("layer", [Port("x", kind, storage_dtype(layer.x))])
    value = program.block.args[0]
    second = random.choice([-1, 0, 1], (4, layer.outputs, 3, 3)).astype(np.int8)
    for name, weights, group, stride in (
        ("first", layer.random_weights(random), layer.group, layer.stride), ("second", second, 1, 1)
    ):  # fmt: skip
        at, pad = node_location("Conv", name), weights.shape[2] // 2
        thresholds = np.sort(random.integers(-3, 4, (len(weights), 2)), axis=1)
        constants = [program.constant(f"{name}.{i}", a, at=at) for i, a in enumerate((weights, thresholds))]
        program.block.add_ops(constants)
        strides, dilations, pads = [stride] * 2, [1, 1], [pad] * 4
        conv = ConvOp.make(
            value, constants[0].result, at=at, strides=strides, pads=pads, dilations=dilations, group=group
        )
        levels = ThresholdOp.make(conv.result, constants[1].result, at=at, axis=1, base=-1, step=1)
        program.block.add_ops([conv, levels])
        value = levels.result
    program.finish([("y", value, storage_dtype(element_of(value)))])
    return program


def place(model: LoadedModel) -> int:
    """The number of the step that computes the layer."""
    return next(i for i, one in enumerate(model.layers) if "Conv:first" in one.nodes and one.engine != "convert")


def first_step(model: LoadedModel) -> Step:
    return model.layers[place(model)]


def compiled(layer: Layer, folder: Path) -> dict[str, LoadedModel]:
    """The layer by engine, of those that take it; `free`: as the compiler chooses. What the folder has is loaded."""
    program, found = network(layer, np.random.default_rng(0)), {}
    folder.mkdir(parents=True, exist_ok=True)
    for engine in (*ENGINES, "free"):
        path = folder / f"{engine}.tercet"
        if not path.exists():
            tercet.compile(program, path, engines=None if engine == "free" else [engine])
        model = tercet.load(path)
        if engine in ("free", first_step(model).engine):
            found[engine] = model
    return found


def measure(layer: Layer, models: dict[str, LoadedModel], rounds: int) -> dict[str, Any]:
    random, chosen = np.random.default_rng(1), models.pop("free")
    lo, hi = range_of(layer.x)
    x = random.integers(lo, hi + 1, (1, layer.inputs, layer.size, layer.size)).astype(storage_dtype(layer.x))
    results = [model.run(x)["y"] for model in (chosen, *models.values())]
    if any(not np.array_equal(results[0], other) for other in results[1:]):
        raise SystemExit(f"{layer.name}: engines differ")
    seconds = [[model.profile(x, repeats=9)[place(model)] for model in models.values()] for _ in range(rounds)]
    times = dict(zip(models, np.array(seconds).T, strict=True))
    row: dict[str, Any] = {"layer": layer.name, "chosen": first_step(chosen).engine}
    row |= {engine: float(np.median(times[engine])) for engine in times}
    if "adder_graph" in models:
        own = times.pop("adder_graph")
        ratios, step = np.array(list(times.values())).min(axis=0) / own, first_step(models["adder_graph"])
        row |= {"ratio": float(np.median(ratios)), "lowest": float(ratios.min())}
        row |= {"adds": step.schedule["adds"], "predicted_cycles": step.cycles}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="0: compile only")
    parser.add_argument("--only", default="", metavar="TEXT", help="layers whose name has this in it")
    parser.add_argument(
        "--artifacts", type=Path, metavar="DIR", help="keep compiled layers here, and load what is there"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    options = parser.parse_args()
    rows = []
    print("| layer | adds | table, us | bit_sliced, us | adder_graph, us | best other / adder_graph | chosen |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.artifacts or Path(temporary)
        for layer in (one for one in LAYERS if options.only in one.name):
            models = compiled(layer, folder / re.sub(r"[^a-z0-9.]+", "-", layer.name))
            if not options.rounds:
                continue
            row = measure(layer, models, options.rounds)
            rows.append(row)
            times = [f"{1e6 * row[engine]:.1f}" if engine in row else "-" for engine in ENGINES]
            ratio = f"{row['ratio']:.2f}" if "ratio" in row else "-"
            print(
                f"| {row['layer']} | {row.get('adds', '-')} | {' | '.join(times)} | {ratio} | {row['chosen']} |",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
