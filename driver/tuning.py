"""Measuring for `--tune`: candidates are compiled into one library, run alternately on one core, and remembered."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..backends.c.emit import emit_model
from ..backends.c.lowering.tune import Times
from ..backends.c.target import Target, runs_here
from ..backends.c.toolchain import compile_shared, find_compiler, target_flags, with_gcc_flags
from ..ir.atomic import atomic_file
from ..ir.errors import TercetError, UnsupportedError
from ..ir.host import scratch_folder
from ..ir.program import Program
from ..runtime.artifact import schema
from ..runtime.artifact.manifest import PortInfo, prefix_of
from ..runtime.artifact.packaging import interface_sources, merge_sources
from ..runtime.check.samples import random_samples
from ..runtime.check.timing import cpu_name, pinned
from ..runtime.load.binding import Library

CACHE_FILE = "tuning.json"
MOST_CACHE_BYTES = 64 * 2**20
SECONDS, FEWEST_ROUNDS, MOST_ROUNDS = 3.0, 9, 300
BUSY = ("-DTERCET_CLOCK=CLOCK_THREAD_CPUTIME_ID",)
"""Time that other programs take is not counted."""

CLOCK = """\
/* Core cycles per second: a chain of additions, each of which waits for the one before, takes one cycle a link. */
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(TERCET_CLOCK, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define LINK x += step; __asm__ volatile("" : "+r"(x));
#define LINKS LINK LINK LINK LINK LINK LINK LINK LINK

__attribute__((visibility("default"))) double cycles_per_second(long step);
double cycles_per_second(long step) {
    long x = 0;
    double begin = now();
    for (int i = 0; i < 100000; i++) {
        LINKS LINKS
    }
    return 100000 * 16 / (now() - begin);
}
"""


class Tuner:
    """The bench of backends/c/lowering/tune.py on this machine. notes: what went wrong without doing harm.

    Raises UnsupportedError for a target whose code cannot run here.
    """

    def __init__(self, target: Target, jobs: int | None = None) -> None:
        if problem := runs_here(target):
            raise UnsupportedError(
                f"cannot tune for target {target.name}: {problem}",
                hint="tune on a machine of that kind, or leave out --tune: then predictions decide",
            )
        self.target, self.jobs = target, jobs
        self.notes: list[str] = []
        self._compiler = find_compiler(target)
        self._flags = target_flags(target, self._compiler)
        self._path = cache_folder() / CACHE_FILE
        self._known = self._read()
        place = (target.name, self._flags, cpu_name(), self._compiler.version, code_hash())
        self._place = hashlib.sha256(repr(place).encode()).hexdigest()

    # -- what was measured before ----------------------------------------------------------------------------------

    def recall(self, key: str) -> Times | None:
        return self._known.get(self._entry(key))

    def remember(self, found: Mapping[str, Times]) -> None:
        """Adds to the file what others wrote meanwhile and what is new."""
        self._known = {**self._read(), **self._known, **{self._entry(key): times for key, times in found.items()}}
        data = json.dumps(self._known, indent=0, sort_keys=True).encode()
        try:
            with atomic_file(self._path) as file:
                file.write(data)
        except OSError as error:
            self.notes.append(f"what was measured is not kept: {self._path}: {error.strerror}")

    def _entry(self, key: str) -> str:
        return hashlib.sha256(f"{self._place} {key}".encode()).hexdigest()

    def _read(self) -> dict[str, Times]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            self.notes.append(f"the tuning cache cannot be read: {self._path}: {error.strerror}")
            return {}
        try:
            return _CACHE(schema.parse_json(data, str(self._path), MOST_CACHE_BYTES), CACHE_FILE)
        except TercetError as error:
            self.notes.append(f"the tuning cache {self._path} is damaged and not used: {error.what}")
            return {}

    # -- measuring -------------------------------------------------------------------------------------------------

    def measure(self, program: Program) -> Sequence[float]:
        """Cycles of every step. The steps run in the program's order, round after round, on one core."""
        emitted = emit_model(program, self.target, compact=False)
        interface = interface_sources(program.name, program.inputs, program.outputs, batched=False)
        with scratch_folder() as folder:
            sources = merge_sources(emitted.sources, interface, {"clock.c": CLOCK})
            path = compile_shared(
                sources, folder, (*self._flags, *BUSY), self.jobs, compiler=self._compiler, layers=emitted.nodes,
                unit_flags=with_gcc_flags({}, emitted.gcc_flags, self._compiler),
            )  # fmt: skip
            clock = ctypes.CDLL(str(path)).cycles_per_second
            clock.restype, clock.argtypes = ctypes.c_double, [ctypes.c_long]
            library = Library(path.read_bytes(), prefix_of(program.name), "tuning")
        ports = tuple(map(PortInfo.of, program.inputs))
        ranges = {port.name: (port.range[0], port.range[1]) for port in ports if port.range}
        inputs = random_samples(ports, batched=False, count=1, ranges=ranges).runs[0]
        arrays = [np.ascontiguousarray(inputs[port.name], port.stored) for port in ports]
        outputs = [np.empty(port.shape, port.stored) for port in map(PortInfo.of, program.outputs)]
        rounds: list[np.ndarray] = []
        rates: list[float] = []
        model, begin = library.create(1), time.perf_counter()
        try:
            with pinned(1):
                while len(rounds) < FEWEST_ROUNDS or (
                    len(rounds) < MOST_ROUNDS and time.perf_counter() - begin < SECONDS
                ):
                    rounds.append(np.zeros(library.step_count(model)))
                    library.run(model, 1, arrays, outputs, seconds=rounds[-1])
                    rates.append(clock(1))
        finally:
            library.destroy(model)
            library.close()
        return undisturbed_cycles(np.array(rounds), np.array(rates))


def undisturbed_cycles(seconds: np.ndarray, rates: np.ndarray) -> list[float]:
    """Cycles of every step from its seconds in every round, [rounds, steps], and the clock's rate then, [rounds].

    Disturbances mostly make steps longer and the rate lower, so the fast quarter counts. Not the very fastest: where a
    host takes time away, it is sometimes subtracted from a later reading, which then is too short, or even 0.
    """
    return [float(cycles) for cycles in np.quantile(seconds, 0.25, axis=0) * np.quantile(rates, 0.75, method="lower")]


def cache_folder() -> Path:
    """$TERCET_CACHE, or `tercet` in the user's cache folder."""
    if chosen := os.environ.get("TERCET_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tercet"


def code_hash() -> str:
    """SHA-256 of the code generator and the runtime: measurements of other versions do not count."""
    digest, root = hashlib.sha256(), Path(__file__).parents[1]
    for folder in ("backends/c", "runtime/c"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".c", ".h"):
                digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _pair(value: object, where: str) -> tuple[float, float]:
    numbers = schema.array(schema.number, 2)(value, where)
    if len(numbers) != 2:
        schema.refuse("two numbers", value, where)
    return numbers[0], numbers[1]


_CACHE = schema.mapping(schema.array(_pair, 1000), 1_000_000)
