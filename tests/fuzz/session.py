"""A run of many networks that can be stopped and taken up again, with counts of what it covered.

    python tests/fuzz/run.py --count 300 --seed 7 --state fuzz.json

goes on where fuzz.json stops, until 300 networks of seed 7 are done. Failures shrink to NAME.onnx and NAME.npz beside
the state file.
"""

from __future__ import annotations

import json
import resource
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import emulated

from tercet.backends.c.engines import ENGINES
from tercet.backends.c.target import TARGETS, Target, find_target

from .graphs.network import Network
from .oracle import Report, check
from .twins import twin

BATCH = 24
"""Networks that are compiled together."""

TWINS = 4
"""One network in so many gets a twin."""

Make = Callable[[int, int], Network]
"""The network of a seed and an index."""


@dataclass
class State:
    """Where a run is, and what it found. seconds: CPU time of this process and the compilers it started."""

    seed: int
    done: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path | None, seed: int) -> State:
        """The state of a file; a new one where there is none. Raises ValueError for the file of another seed."""
        if path is None or not path.exists():
            return cls(seed)
        data = json.loads(path.read_text())
        if data["seed"] != seed:
            raise ValueError(f"{path} is of seed {data['seed']}, not {seed}")
        for key in ("counts", "refused", "pairs", "engines"):
            data[key] = Counter(data[key])
        return cls(**data)

    def save(self, path: Path | None) -> None:
        if path is not None:
            data: dict[str, Any] = {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(data, indent=1, sort_keys=True))
            temporary.replace(path)

    def add(self, report: Report) -> None:
        self.counts.update(
            networks=report.networks, compared=report.compared, onnxruntime=report.with_onnxruntime,
            explained=report.explained, twins=report.twins, artifacts=report.artifacts,
        )  # fmt: skip
        self.refused.update(report.refused)
        self.pairs.update({" > ".join(pair): n for pair, n in report.pairs.items()})
        self.engines.update({" ".join(key): n for key, n in report.engines.items()})
        for failure in report.failures:
            self.failures.append(
                {
                    "network": failure.network,
                    "stage": failure.stage,
                    "kind": failure.kind,
                    "detail": failure.detail[:2000],
                }
            )


def other_targets() -> list[Target]:
    """Targets beside the native and the generic one whose code can run here, on the CPU or emulated."""
    native = find_target("native").name
    return [t for t in TARGETS.values() if t.name not in (native, "generic") and not emulated.reason(t)]


def targets_of(batch: int) -> list[Target]:
    """For a batch of networks: native, generic, and one more in turn."""
    others = other_targets()
    return [find_target("native"), find_target("generic"), *([others[batch % len(others)]] if others else [])]


def engines_of(index: int) -> list[str] | None:
    """Every third network may use one engine only (and `loops`), each in turn, so that all of them get work."""
    return [ENGINES[index // 3 % len(ENGINES)].name] if index % 3 == 2 else None


def go_on(
    state: State,
    count: int,
    make: Make,
    *,
    path: Path | None = None,
    jobs: int = 1,
    flags: Sequence[str] = ("-O0",),
    tell: Callable[[str], None] = lambda text: None,
    found: Callable[[Network, Report], None] = lambda network, report: None,
) -> State:
    """Checks networks until `count` are done. found: told each network that fails, with a report of it alone."""
    while state.done < count:
        begin = _cpu_seconds()
        indices = range(state.done, min(state.done + BATCH, count))
        networks = [replace(make(state.seed, i), engines=engines_of(i)) for i in indices]
        chosen = targets_of(state.done // BATCH)
        networks += [made for i, n in enumerate(networks[::TWINS]) if (made := twin(n, state.done + i)) is not None]
        report = check(networks, [chosen] * len(networks), jobs=jobs, flags=flags, artifacts=True)
        state.add(report)
        state.done += len(indices)
        state.seconds += _cpu_seconds() - begin
        state.save(path)
        tell(f"{state.done} networks, {len(state.failures)} failures, {state.seconds:.0f} s of CPU")
        for failure in report.failures:
            tell(str(failure)[:600])
            network = next(n for n in networks if n.name == failure.network)
            found(network, Report(failures=[failure]))
    return state


def _cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
