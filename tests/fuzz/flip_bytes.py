"""Damages models and artifacts by the hundred thousand: each is accepted, or refused with a TercetError.

    python tests/fuzz/flip_bytes.py --count 200000 --seed 1 --state flips.json     # run again to go on from there
    python tests/fuzz/flip_bytes.py --artifacts --count 20000
    python tests/fuzz/flip_bytes.py --only 4711                                    # one case, with its traceback

A case follows from the seed and its number. Cases run in child processes with limited memory, each with limited time,
and numpy's warnings are errors. Exit code 1: something else than a refusal, kept as a file in --keep.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import mmap
import os
import pickle
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flip_subjects import Subject, artifacts, models

from tercet.ir.errors import TercetError

SECONDS, MEMORY = 20.0, 6 * 2**30
BLOCK = 500
"""Cases of one child process."""
TRACES = 20
"""Kept for each kind of fault, of the first ones."""


class TooLong(BaseException):
    """No Exception, so that nothing takes it for an error of the case."""


@dataclass
class Tally:
    """What came of the cases so far. faults: number of the case -> what went wrong. next: the case to go on with."""

    next: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)


def outcome(subject: Subject, seed: int, number: int, folder: Path) -> tuple[str, str]:
    """What became of one case ("accepted", or the kind of refusal), and a traceback where that is a fault."""
    rng = random.Random(f"{seed} {number}")
    path = folder / subject.file
    path.write_bytes(subject.make(rng))
    try:
        with time_limit(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("error")
            subject.use(path, rng)
        return "accepted", ""
    except TercetError as error:
        return f"{type(error).__name__}: {general(error.what)}", ""
    except (Exception, TooLong) as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "site-packages" not in f.filename and f.filename.endswith(".py")] or frames
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return f"FAULT {type(error).__name__} in {place}: {str(error)[:120]}", traceback.format_exc()


def general(what: str) -> str:
    """A message without the names and numbers of the case."""
    text = re.sub(r"\S*/\S*", "..", what.splitlines()[0])
    text = re.sub(r"operator \S+|by an? \S+ node", "operator ..", text)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'..'", text)
    text = re.sub(r"\[[^\]]*\]|\([^)]*\)", "[..]", text)
    return re.sub(r"[-+]?\d[\w.+-]*", "#", text)[:100]


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLong(f"took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_block(subject: Subject, seed: int, numbers: Sequence[int], tally: Tally) -> None:
    """Runs cases in a child process; one that it dies of is a fault, and the others go on in another child."""
    with tempfile.TemporaryDirectory(prefix="tercet-flip-") as folder, mmap.mmap(-1, 8) as shared:
        while numbers:
            results = Path(folder) / "results"
            shared[:] = struct.pack("q", numbers[0])
            if not (child := os.fork()):
                _child(subject, seed, numbers, Path(folder), shared, results)
            status = _wait(child, shared)
            found = pickle.loads(results.read_bytes()) if results.exists() else []
            for number, (kind, trace) in found:
                tally.outcomes[kind] += 1
                if trace:
                    tally.faults[number] = f"{kind}\n{trace}" if tally.outcomes[kind] <= TRACES else kind
            results.unlink(missing_ok=True)
            if not status:
                return
            (died,) = struct.unpack("q", shared[:])
            kind = f"FAULT the process ended with {status}"
            tally.outcomes[kind] += 1
            tally.faults[died] = kind
            done = {number for number, _ in found}
            numbers = [number for number in numbers if number > died or (number < died and number not in done)]


def _child(subject: Subject, seed: int, numbers: Sequence[int], folder: Path, shared: mmap.mmap, results: Path) -> None:
    status, found = 1, []
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # native libraries have their own opinions of damaged models
        for number in numbers:
            shared[:] = struct.pack("q", number)
            found.append((number, outcome(subject, seed, number, folder)))
            results.with_suffix(".new").write_bytes(pickle.dumps(found)) if number % 50 == 0 else None
            results.with_suffix(".new").replace(results) if number % 50 == 0 else None
        results.write_bytes(pickle.dumps(found))
        status = 0
    finally:
        os._exit(status)


def _wait(child: int, shared: mmap.mmap) -> str:
    """How the child ended, "" for well; one that is busy with the same case for too long is killed."""
    last, since = shared[:], time.monotonic()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}" if code else ""
        if shared[:] != last:
            last, since = shared[:], time.monotonic()
        if time.monotonic() - since > 3 * SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def run_cases(
    subject: Subject, seed: int, begin: int, end: int, on_block: Callable[[Tally], None], tally: Tally | None = None
) -> Tally:
    """Runs the cases begin..end - 1, adding to a tally."""
    tally = tally or Tally(begin)
    for first in range(begin, end, BLOCK):
        last = min(first + BLOCK, end)
        run_block(subject, seed, range(first, last), tally)
        tally.next = last
        on_block(tally)
    return tally


def summary(tally: Tally) -> str:
    """The kinds of outcomes, the most frequent first, faults last."""
    rows = sorted(tally.outcomes.items(), key=lambda item: (item[0].startswith("FAULT"), -item[1]))
    lines = [f"{count:8}  {kind}" for kind, count in rows]
    kinds, total = sum(k != "accepted" and not k.startswith("FAULT") for k, _ in rows), sum(tally.outcomes.values())
    return "\n".join([*lines, f"{total} cases, {kinds} kinds of refusal, {len(tally.faults)} faults"])


# -- the program ------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="cases, those of --state among them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--artifacts", action="store_true", help="damage artifacts, not models")
    parser.add_argument("--state", type=Path, help="a file to go on from, and to keep what was found in")
    parser.add_argument("--keep", type=Path, default=Path("build/flips"), help="folder for cases that failed")
    parser.add_argument("--only", type=int, help="run this one case here, and show what it is")
    options = parser.parse_args()
    subject = (artifacts if options.artifacts else models)()
    if options.only is not None:
        with tempfile.TemporaryDirectory(prefix="tercet-flip-") as folder:
            kind, trace = outcome(subject, options.seed, options.only, Path(folder))
        print(kind, trace, sep="\n")
        return int(bool(trace))
    tally = _read_state(options.state, subject, options.seed)
    begin = time.monotonic()

    def on_block(now: Tally) -> None:
        _write_state(options.state, subject, options.seed, now)
        rate = (now.next - first) / max(time.monotonic() - begin, 1e-9)
        shown = f"{now.next} of {options.count}, {len(now.faults)} faults, {rate:.0f} a second"
        print(f"\r{shown} ", end="", file=sys.stderr)

    first = tally.next
    run_cases(subject, options.seed, first, options.count, on_block, tally)
    print(file=sys.stderr)
    print(summary(tally))
    shown: set[str] = set()
    for number, text in tally.faults.items():
        options.keep.mkdir(parents=True, exist_ok=True)
        rng = random.Random(f"{options.seed} {number}")
        (options.keep / f"{options.seed}-{number}-{subject.file}").write_bytes(subject.make(rng))
        kind = general(text)
        print(f"\ncase {number}: {text}" if kind not in shown else f"case {number}: {kind}")
        shown.add(kind)
    return int(bool(tally.faults))


def _read_state(path: Path | None, subject: Subject, seed: int) -> Tally:
    if path is None or not path.exists():
        return Tally()
    state = json.loads(path.read_text())
    if (state["subject"], state["seed"]) != (subject.file, seed):
        raise SystemExit(f"{path} is of another run: {state['subject']}, seed {state['seed']}")
    return Tally(state["next"], Counter(state["outcomes"]), {int(k): v for k, v in state["faults"].items()})


def _write_state(path: Path | None, subject: Subject, seed: int, tally: Tally) -> None:
    if path is not None:
        state = {"subject": subject.file, "seed": seed, "next": tally.next}
        state |= {"outcomes": tally.outcomes, "faults": tally.faults}
        path.with_name(f"{path.name}.new").write_text(json.dumps(state, indent=0))
        path.with_name(f"{path.name}.new").replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
