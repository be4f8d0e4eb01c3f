"""Adds per output vector of sum merging on random layers, against the bars of the project and da4ml.

    python benchmarks/sum_merge.py [--seconds 8] [--large-seconds 90] [--sizes small,large,seed]
                                   [--da4ml PYTHON] [--da4ml-seconds 200]

Times are CPU seconds of one thread. da4ml (LGPL) runs in another Python, the one where it is installed, on the same
matrices and only up to its time limit; nothing of it is used by tercet.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tercet.backends.c.sum_search import NativeSearch
from tercet.passes.sum_merge import merge_sums

# (outputs, inputs): adds to stay below, by kind (the large ones 25% below grouped columns)
BARS = {
    (32, 288): {"binary": 1762, "ternary": 2126, "signed-binary": 1690},
    (64, 576): {"binary": 6110, "ternary": 7473, "signed-binary": 5913},
    (512, 4608): {"binary": 307200, "ternary": 399238, "signed-binary": 258048},
}
# op reductions that the publication on signed-binarization quotes, by shape, kind and the density drawn here
SEED_BARS = [
    ((64, 576), "binary", 1.0, 5.3),
    ((64, 576), "signed-binary", 0.5, 6.65),
    ((64, 576), "signed-binary", 0.35, 6.65),
    ((64, 576), "ternary", 0.5, 4.52),
    ((512, 4608), "signed-binary", 0.5, 14.51),
    ((512, 4608), "signed-binary", 0.35, 14.51),
    ((512, 4608), "signed-binary", 0.15, 14.51),
]
DA4ML = """
import sys, numpy as np
from da4ml.cmvm import solve
solution = solve(np.load(sys.argv[1]).T.astype(np.float32))
stages = solution.solutions if hasattr(solution, "solutions") else solution.stages
print(sum(op.opcode in (0, 1) for stage in stages for op in stage.ops))
"""


def random_weights(kind: str, outputs: int, inputs: int, density: float = 0.5, seed: int = 0) -> np.ndarray:
    """Random weights of a kind. signed-binary: the first half of the outputs is {0, 1}, the rest {0, -1}."""
    rng = np.random.default_rng(seed)
    signs = rng.choice(np.array([-1, 1], np.int8), size=(outputs, inputs))
    if kind == "binary":
        return signs
    there = (rng.random((outputs, inputs)) < density).astype(np.int8)
    if kind == "ternary":
        return there * signs
    return there * np.where(np.arange(outputs) < outputs // 2, 1, -1).astype(np.int8)[:, None]


def ours(weights: np.ndarray, seconds: float) -> tuple[int, int, float]:
    """(adds, depth, CPU seconds), proved to compute the weights."""
    begin = time.process_time()
    graph = merge_sums(weights, seconds=seconds, search=NativeSearch)
    spent = time.process_time() - begin
    if not np.array_equal(graph.to_matrix(), weights):
        raise SystemExit("the sum graph is wrong")
    return graph.adds, graph.depth, spent


def da4ml(python: str, weights: np.ndarray, limit: float) -> str:
    """da4ml's adds and seconds, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.npy"
        np.save(file, weights)
        begin = time.monotonic()
        try:
            done = subprocess.run(
                [python, "-c", DA4ML, str(file)], capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            return f"not in {limit:.0f} s"
        except OSError as error:
            return str(error)
    if done.returncode:
        return "not installed" if "ModuleNotFoundError" in done.stderr else "failed"
    return f"{done.stdout.split()[-1]} ({time.monotonic() - begin:.0f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="CPU time for each small layer")
    parser.add_argument("--large-seconds", type=float, default=90, help="CPU time for each 512 x 4608 layer")
    parser.add_argument("--sizes", default="small,large,seed", help="parts to run")
    parser.add_argument("--da4ml", default=sys.executable, help="a Python that has da4ml")
    parser.add_argument("--da4ml-seconds", type=float, default=200, help="time limit for each matrix; 0: leave it out")
    options = parser.parse_args()
    parts = options.sizes.split(",")
    merge_sums(np.ones((2, 2), np.int8), search=NativeSearch)  # compile the search before the clock runs

    print("| K x N | weights | bar | adds | of the bar | depth | CPU s | da4ml |\n" + "| --- " * 8 + "|")
    for (outputs, inputs), bars in BARS.items():
        large = outputs * inputs > 100_000
        if ("large" if large else "small") not in parts:
            continue
        for kind, bar in bars.items():
            weights = random_weights(kind, outputs, inputs)
            for seconds in (options.large_seconds,) if large else (1, options.seconds):
                adds, depth, spent = ours(weights, seconds)
                peer = "-"
                if options.da4ml_seconds and not large and seconds == options.seconds:
                    peer = da4ml(options.da4ml, weights, options.da4ml_seconds)
                row = f"| {outputs} x {inputs} | {kind} | {bar} | {adds} | {adds / bar:.3f} | {depth} | {spent:.1f} |"
                print(row, peer, "|", flush=True)
    if "seed" not in parts:
        return
    print("\n| K x N | weights | density | asked | MACs per add | 2 x MACs per add | CPU s |\n" + "| --- " * 7 + "|")
    for (outputs, inputs), kind, density, bar in SEED_BARS:
        weights = random_weights(kind, outputs, inputs, density)
        adds, _, spent = ours(weights, options.seconds if outputs < 512 else options.large_seconds / 3)
        reduction = outputs * inputs / adds
        row = f"| {outputs} x {inputs} | {kind} | {density:.2f} | {bar} | {reduction:.2f} | {2 * reduction:.2f} |"
        print(row, f"{spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
