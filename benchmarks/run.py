"""tercet against int8, fp32 and binary libraries, layer by layer and on ResNet-18 (`make bench`).

    python benchmarks/run.py                                             # all of it: an hour or more
    python benchmarks/run.py --layers '3x3 *' --networks '' --kinds 'ternary/*' --peers 'onednn*,openvino*'
    python benchmarks/run.py --layers '3x3 *7;3x3 *14' --kinds ternary/ternary --active 0.33 0.5 0.67 --networks ''
    python benchmarks/run.py --layers '' --threads 2
    python benchmarks/run.py --report a.json b.json                      # join results of earlier runs

See benchmarks/README.md for what is measured and how.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from suite.layers import KINDS, LAYERS
from suite.measure import NETWORK, Measured, Setting, measure_layer, measure_network
from suite.networks import NETWORKS
from suite.ours import Build
from suite.report import read_json, subject_table, text, write_json
from suite.worker import PEERS, Worker

import tercet
from tercet.runtime.check.timing import cpu_name, pinned

BUILD = Path(__file__).resolve().parents[1] / "build" / "bench"
PEER_ISA = {"x86-64-v3": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
"""oneDNN gets no more instructions than the target has."""


def chosen(patterns: str, names: Iterable[str], what: str) -> list[str]:
    """The names that one of the comma-separated patterns matches, or is. Exits where a pattern matches none."""
    names = list(names)
    wanted = [pattern.strip() for pattern in patterns.split(";" if ";" in patterns else ",") if pattern.strip()]
    found = [name for name in names if any(name == p or fnmatchcase(name, p) for p in wanted)]
    for pattern in wanted:
        if not any(name == pattern or fnmatchcase(name, pattern) for name in names):
            sys.exit(f"--{what}: nothing is called '{pattern}'; there are: {'; '.join(names)}")
    return found


def share(text: str) -> float:
    """A number between 0 and 1, ends excluded. Raises ValueError for others, which argparse reports."""
    value = float(text)
    if not 0 < value < 1:
        raise ValueError(text)
    return value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    patterns = "glob patterns, separated by commas (by semicolons where a name has a comma)"
    parser.add_argument("--layers", default="*", help=f"{patterns}; '' for none")
    parser.add_argument("--networks", default="*", help="forms of ResNet-18 that tercet compiles; '' for none")
    parser.add_argument("--kinds", default="*", help="weights/activations of layers, as in ternary/int8")
    parser.add_argument(
        "--active", type=share, nargs="+", default=(), metavar="SHARE",
        help="shares of ternary activations that are not zero, as in 0.33 0.5 0.67: a sweep",
    )  # fmt: skip
    parser.add_argument("--peers", default="*", help="as in 'onednn int8'")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--target", default="native")
    parser.add_argument("--optimize", choices=("speed", "size"), default="speed", help="as for `tercet compile`")
    parser.add_argument("--artifacts", type=Path, default=BUILD / "artifacts", help="where compiled models are left")
    parser.add_argument("--reuse", action="store_true", help="take what is there instead of compiling again")
    parser.add_argument("--json", type=Path, default=BUILD / "bench.json", metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw ratios (.svg, .png; needs matplotlib)")
    parser.add_argument("--plot-peer", default="onednn int8", metavar="PEER", help="what to draw ratios to")
    parser.add_argument("--report", type=Path, nargs="+", metavar="JSON", help="measure nothing, report these files")
    o = parser.parse_args()
    if o.report:
        measured, about = read_json(o.report)
    else:
        target = next(t.name for t in tercet.targets() if t.native) if o.target == "native" else o.target
        about = {
            "tercet": tercet.__version__, "target": target, "optimize": o.optimize, "cpu": cpu_name(),
            "threads": o.threads, "rounds": o.rounds,
        }  # fmt: skip
        setting = Setting(
            Build(target, o.optimize, o.reuse), o.threads, o.rounds, chosen(o.kinds, KINDS, "kinds"),
            chosen(o.networks, NETWORKS, "networks"), chosen(o.peers, PEERS, "peers"), o.artifacts,
            o.active,
        )  # fmt: skip
        measured = []
        for found in measure(chosen(o.layers, LAYERS, "layers"), setting):
            measured.append(found)
            write_json(o.json, measured, about)
    print(text(measured, about))
    if o.plot:
        draw(o.plot, measured, o.plot_peer)
    return 0


def measure(layers: Sequence[str], setting: Setting) -> Iterator[Measured]:
    """Subject by subject; shows each table as soon as it is there."""
    subjects = [*layers, *([NETWORK] if setting.networks else [])]
    with pinned(setting.threads):
        libraries = dict.fromkeys(peer.partition(" ")[0] for peer in setting.peers)
        environment = PEER_ISA.get(setting.build.target, {})
        workers = {library: Worker(library, setting.threads, environment) for library in libraries}
        try:
            for subject in subjects:
                print(f"{subject} ...", file=sys.stderr, flush=True)
                network = subject == NETWORK
                found = measure_network(setting, workers) if network else measure_layer(subject, setting, workers)
                print("\n".join(subject_table(found)), file=sys.stderr, flush=True)
                yield found
        finally:
            for worker in workers.values():
                worker.close()


def draw(path: Path, measured: Sequence[Measured], peer: str) -> None:
    from suite.plot import plot

    try:
        plot(path, measured, peer)
    except (ImportError, ValueError) as error:
        print(f"no plot: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
