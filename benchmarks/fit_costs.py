"""Fits the numbers that engines predict costs with to this machine (backends/c/costs.toml).

    python benchmarks/fit_costs.py                          # measure, print what fits and how well
    python benchmarks/fit_costs.py --engines table --write  # change the file
    python benchmarks/fit_costs.py --check                  # are the chosen kernels nearly the fastest ones?

The layers of CHAINS and LINEAR are compiled with every schedule that may be the best one (the candidates of `--tune`)
and each kernel is measured on one core. Then the numbers of each engine are moved, all at once, until the logarithms
of predicted over measured cycles have the smallest sum of squares; a little pull towards the present numbers settles
what the measurements leave open. No number becomes negative.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from suite.layers import KINDS, Conv, Layer, Linear, kind_model

import tercet
from tercet.backends.c.costs import FILE, costs_text, read_comments, read_costs
from tercet.backends.c.engine import Plan
from tercet.backends.c.engines import ENGINES
from tercet.backends.c.lowering.pipeline import Tuning, all_passes
from tercet.backends.c.lowering.tune import Times
from tercet.backends.c.plans import Plans
from tercet.backends.c.target import Target, find_target
from tercet.driver.tuning import Tuner
from tercet.ir.kn.kernel import KernelOp
from tercet.ir.program import Program
from tercet.passes.pipeline import numbered, run_passes

CHAINS = (
    (Conv(16, 64, 3, 1, 56), Conv(64, 64, 3, 1, 56), Conv(64, 128, 3, 2, 56), Conv(128, 128, 3, 1, 28)),
    (Conv(64, 32, 1, 1, 56), Conv(32, 256, 1, 1, 56), Conv(256, 64, 1, 1, 56), Conv(64, 24, 3, 1, 56)),
    (
        Conv(128, 256, 3, 2, 28),
        Conv(256, 256, 3, 1, 14),
        Conv(256, 64, 1, 1, 14),
        Conv(64, 1024, 1, 1, 14),
        Conv(1024, 32, 1, 1, 14),
    ),
    (Conv(96, 512, 3, 2, 14), Conv(512, 512, 3, 1, 7), Conv(512, 128, 1, 1, 7)),
    (Conv(16, 64, 1, 1, 56), Conv(64, 16, 1, 1, 56), Conv(16, 144, 1, 1, 28), Conv(144, 32, 1, 1, 28)),
    (
        Conv(8, 16, 3, 1, 24),
        Conv(16, 24, 1, 1, 24),
        Conv(24, 32, 3, 2, 24),
        Conv(32, 32, 3, 1, 12),
        Conv(32, 8, 1, 1, 12),
    ),
    (
        Conv(64, 128, 1, 1, 7),
        Conv(128, 128, 1, 2, 7),
        Conv(128, 128, 1, 1, 4),
        Conv(128, 256, 1, 1, 4),
        Conv(256, 256, 1, 1, 4),
    ),
    *(
        (Conv(c, c, k, 1, s, c), Conv(c, c, k, 2, s, c), Conv(c, c, k, 1, -(-s // 2), c))
        for c, k, s in ((8, 3, 96), (32, 3, 112), (96, 3, 56), (144, 7, 28), (256, 3, 14), (128, 5, 7), (960, 3, 7))
    ),
)
CONVOLUTIONS = (
    "ternary/ternary", "binary/binary", "binary/ternary", "ternary/int8", "binary/int8", "ternary/fp32", "ttq/fp32",
    "int8/int8", "fp32/fp32",
)  # fmt: skip
PRODUCTS = ("ternary/ternary", "binary/binary", "ternary/int8", "int8/int8", "fp32/fp32")
LINEAR = (
    *(Linear(rows, size, size) for rows in (1, 8, 64) for size in (32, 128, 256, 1024)),
    *(Linear(rows, 4096, 4096) for rows in (1, 8)),  # weights outside L2
)
CANDIDATES = 8
PULL, ROUNDS, ENOUGH, HEAVY = 0.1, 60, 1e-4, 1e9
MOST_SLOWER = 1.15


@dataclass(frozen=True)
class Sample:
    """A kernel that was measured. layer: the same for all that compute the same; name: what people call it."""

    layer: str
    name: str
    plan: Plan
    cycles: float

    def predicted(self, target: Target) -> float:
        return self.plan.predict(target.costs[self.plan.engine])

    def error(self, target: Target) -> float:
        """Logarithm of predicted over measured cycles."""
        return float(np.log(self.predicted(target) / self.cycles))


class Recorder:
    """The bench of backends/c/lowering/tune.py that keeps every kernel it measures."""

    def __init__(self, target: Target) -> None:
        self.tuner, self.samples, self.programs, self.subject = Tuner(target), list[Sample](), 0, ""

    def recall(self, key: str) -> Times | None:
        return None

    def remember(self, found: Mapping[str, Times]) -> None:
        pass

    def measure(self, program: Program) -> Sequence[float]:
        cycles, plans = self.tuner.measure(program), Plans(self.tuner.target, ENGINES)
        self.programs += 1
        self.samples += [
            Sample(
                f"{self.programs} {op.symbol.data.split('_')[0]}",
                f"{self.subject}: {op.symbol.data}",
                plans.chosen(op, program.weights),
                seen,
            )
            for op, seen in zip(program.ops, cycles, strict=True)
            if isinstance(op, KernelOp)
        ]
        return cycles


def measure(target: Target, names: Sequence[str], kinds: str, candidates: int) -> list[Sample]:
    """Samples of the engines with these names. kinds: a pattern of weights/activations."""
    engines = [e for e in ENGINES if e.name in names or e.name == "loops"]
    recorder = Recorder(target)
    layers = [Layer(f"chain {i}", chain) for i, chain in enumerate(CHAINS)] + [
        Layer(f"linear {shape}", (shape,)) for shape in LINEAR
    ]
    for layer in layers:
        for kind in fnmatch.filter(PRODUCTS if layer.linear else CONVOLUTIONS, kinds):
            try:
                program = tercet.import_model(kind_model(layer, KINDS[kind]))
            except tercet.TercetError as error:
                print(f"left out: {layer.name}, {kind}: {error}")
                continue
            recorder.subject, tuning = f"{layer.name}, {kind}", Tuning(recorder, candidates)
            run_passes(program, numbered(all_passes(target, engines, tuning=tuning)))
            print(f"{layer.name}, {kind}: {len(recorder.samples)} kernels", flush=True)
    return [sample for sample in recorder.samples if sample.plan.engine in names]


def with_costs(target: Target, engine: str, logs: np.ndarray) -> Target:
    """The target with the numbers of one engine replaced. logs: their natural logarithms."""
    changed = dict(zip(target.costs[engine], np.exp(logs).tolist(), strict=True))
    return replace(target, costs={**target.costs, engine: changed})


def fit(engine: str, samples: Sequence[Sample], target: Target) -> Target:
    """Levenberg-Marquardt on the logarithms of the numbers, none of which changes more than e-fold in a step."""
    start = np.log(np.array(list(target.costs[engine].values())))

    def errors(at: np.ndarray) -> np.ndarray:
        there = with_costs(target, engine, at)
        pull = PULL * np.sqrt(len(samples)) / len(start) * (at - start)
        return np.concatenate([[sample.error(there) for sample in samples], pull])

    x, here, damping, step = start, errors(start), 1.0, 1e-3
    for _ in range(ROUNDS):
        slopes = np.stack([(errors(x + step * unit) - here) / step for unit in np.eye(len(x))], axis=1)
        while damping < HEAVY:
            move = np.linalg.solve(slopes.T @ slopes + damping * np.eye(len(x)), -slopes.T @ here)
            moved = x + np.clip(move, -1, 1)
            there = errors(moved)
            if there @ there < here @ here:
                break
            damping *= 4
        else:
            break
        gain = 1 - (there @ there) / (here @ here)
        x, here, damping = moved, there, damping / 4
        if gain < ENOUGH:
            break
    return with_costs(target, engine, x)


def spread(samples: Sequence[Sample], target: Target) -> str:
    ratios = np.exp([sample.error(target) for sample in samples])
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def choices(samples: Sequence[Sample], target: Target) -> list[tuple[Sample, Sample]]:
    """Of every layer the kernel that would be chosen, and the fastest that was measured."""
    layers: dict[str, list[Sample]] = {}
    for sample in samples:
        layers.setdefault(sample.layer, []).append(sample)
    return [
        (min(found, key=lambda s: s.predicted(target)), min(found, key=lambda s: s.cycles)) for found in layers.values()
    ]


def regret(samples: Sequence[Sample], target: Target) -> str:
    """How much slower the kernels are that would be chosen than the fastest ones."""
    lost = [chosen.cycles / fastest.cycles for chosen, fastest in choices(samples, target)]
    return f"{np.mean(lost):.3f} (worst {max(lost):.2f})"


def check(samples: Sequence[Sample], target: Target) -> bool:
    """Prints the layers whose chosen kernel takes more than MOST_SLOWER of the fastest one. Whether there are none."""
    found = choices(samples, target)
    slow = [(chosen, fastest) for chosen, fastest in found if chosen.cycles > MOST_SLOWER * fastest.cycles]
    print(f"\n{len(found) - len(slow)} of {len(found)} layers: chosen within {MOST_SLOWER:g} of the fastest\n")
    if slow:
        print("| layer | chosen | cycles | fastest | cycles | ratio |\n| --- | --- | --- | --- | --- | --- |")
    for chosen, fastest in sorted(slow, key=lambda pair: pair[1].cycles / pair[0].cycles):
        ends = [
            f"{s.plan.engine} {s.plan.schedule} | {s.cycles:.0f} (predicted {s.predicted(target):.0f})"
            for s in (chosen, fastest)
        ]
        print(f"| {chosen.name} | {ends[0]} | {ends[1]} | {chosen.cycles / fastest.cycles:.2f} |")
    return not slow


def main() -> int:
    names = [engine.name for engine in ENGINES if engine.name != "loops"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", choices=names, default=names)
    parser.add_argument("--kinds", default="*", help="weights/activations to measure, a pattern")
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="of a layer, at most")
    parser.add_argument("--write", action="store_true", help=f"change {FILE.name}")
    parser.add_argument(
        "--check", action="store_true", help=f"exit code 1 where a choice is not within {MOST_SLOWER:g}"
    )
    options = parser.parse_args()
    target = find_target("native")
    samples = measure(target, options.engines, options.kinds, options.candidates)
    if options.check:
        return 0 if check(samples, target) else 1
    print("\npredicted / measured: median (10 %, 90 % quantiles)\n")
    print("| engine | kernels | before | fitted | numbers |\n| --- | --- | --- | --- | --- |")
    fitted = target
    for name in options.engines:
        if own := [sample for sample in samples if sample.plan.engine == name]:
            fitted = fit(name, own, fitted)
            numbers = ", ".join(f"{key} {value:.3g}" for key, value in fitted.costs[name].items())
            print(f"| {name} | {len(own)} | {spread(own, target)} | {spread(own, fitted)} | {numbers} |")
    before, after = regret(samples, target), regret(samples, fitted)
    print(f"\ntime of the chosen kernel / of the fastest, mean over layers: before {before}, fitted {after}")
    check(samples, fitted)
    if options.write:
        FILE.write_text(costs_text({**read_costs(), target.name: fitted.costs}, read_comments()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
