"""Random networks for as long as one likes: see session.py. `make fuzz ARGS="--count 1000"`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "support")]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from fuzz.coverage import pair_table, summary  # noqa: E402
from fuzz.graphs.diamonds import diamond  # noqa: E402
from fuzz.graphs.generate import network  # noqa: E402
from fuzz.graphs.network import Network  # noqa: E402
from fuzz.oracle import Report  # noqa: E402
from fuzz.session import State, go_on  # noqa: E402
from fuzz.shrink import keep_smallest  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="networks of this seed in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, help="where to go on, and to note what was found")
    parser.add_argument("--kind", choices=("any", "diamonds"), default="any")
    parser.add_argument("--jobs", type=int, default=1, help="C compilers at a time")
    parser.add_argument("--flags", default="-O0", help="further arguments of the C compiler")
    parser.add_argument("--pairs", action="store_true", help="list the pairs of operators at the end")
    parser.add_argument("--bytes", type=int, default=1000, help="also so many models with flipped bytes")
    options = parser.parse_args()
    state = State.load(options.state, options.seed)

    def found(failing: Network, report: Report) -> None:
        print("written:", keep_smallest(failing, report, folder=folder))

    folder = options.state.with_suffix("") if options.state else Path("fuzz-failures")
    make = network if options.kind == "any" else diamond
    go_on(
        state, options.count, make, path=options.state, jobs=options.jobs, flags=options.flags.split(),
        tell=partial(print, flush=True), found=found,
    )  # fmt: skip
    print(summary(state))
    if options.pairs:
        print(pair_table(state))
    flips = HERE / "flip_bytes.py"
    if options.bytes and flips.exists():
        command = [sys.executable, str(flips), "--count", str(options.bytes), "--seed", str(options.seed)]
        if subprocess.run(command, check=False).returncode:
            return 1
    return 1 if state.failures else 0


if __name__ == "__main__":
    assert importlib.util.find_spec("tercet"), "pip install -e . first"
    raise SystemExit(main())
