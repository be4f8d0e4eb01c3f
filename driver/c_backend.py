"""The C backend as the driver sees it: its passes, then C, compiled together with the runtime to a library."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence

from ..backends.c.costs import read_costs
from ..backends.c.emit import emit_model
from ..backends.c.engine import Engine
from ..backends.c.engines import ENGINES
from ..backends.c.lowering.pipeline import Tuning, all_passes, known_passes
from ..backends.c.plans import Plans
from ..backends.c.target import MEASURED, Target, find_target, runs_here
from ..backends.c.toolchain import (
    COMMON_FLAGS,
    baseline_flags,
    compile_shared,
    find_compiler,
    target_flags,
    threading_flags,
)
from ..ir.errors import InputError
from ..ir.host import scratch_folder
from ..ir.kn.memory import arena_bytes
from ..ir.program import Program
from ..passes.base import Pass
from ..runtime.artifact.layers import describe_layers
from ..runtime.artifact.manifest import CompilerInfo, TargetInfo, prefix_of, soname
from ..runtime.artifact.packaging import artifact_contents, interface_sources, merge_sources, target_units
from ..version import __version__
from .backend import Built, Lowering
from .tuning import Tuner

OPTIMIZE = ("speed", "size")


class CBackend:
    name = "c"

    def check(self, lowering: Lowering) -> None:
        find_target(lowering.target)
        threading_flags(lowering.threading)
        if lowering.optimize not in OPTIMIZE:
            raise InputError(f"optimize: expected 'speed' or 'size', got '{lowering.optimize}'")
        choose_engines(lowering.engines, lowering.optimize)

    def open(self, lowering: Lowering, *, jobs: int | None = None, build: bool = True) -> CCompilation:
        return CCompilation(lowering, jobs, build)


class CCompilation:
    """See `Compilation`."""

    def __init__(self, lowering: Lowering, jobs: int | None, build: bool) -> None:
        self._machine, self._jobs = find_target(lowering.target), jobs
        self._threads = threading_flags(lowering.threading)
        self._engines = choose_engines(lowering.engines, lowering.optimize)
        if build:
            find_compiler(self._machine)
        self._tuner = Tuner(self._machine, jobs) if lowering.tune else None
        self._candidates = lowering.tune
        self._plans = Plans(self._machine, [*self._engines[0], *self._engines[1]])

    @property
    def target(self) -> str:
        return self._machine.name

    @property
    def notes(self) -> Sequence[str]:
        return self._tuner.notes if self._tuner else ()

    @property
    def hints(self) -> Sequence[str]:
        """Where engines were chosen by numbers that were measured for another target."""
        known = read_costs()
        measured = set(known[MEASURED]) <= set(known.get(self._machine.name, ()))
        if self._tuner or measured or len(self._engines[0]) < 2:
            return ()
        here = not runs_here(self._machine)
        advice = "--tune measures this machine" if here else "use --tune on a machine of that kind"
        return (
            f"costs for {self._machine.name} were not measured, so those of another target chose the engines; {advice}",
        )

    def passes(self, lossy: Sequence[Pass] = ()) -> Sequence[Pass]:
        tuning = Tuning(self._tuner, self._candidates)
        return all_passes(self._machine, *self._engines, tuning, lossy, self._plans)

    def known_passes(self) -> Mapping[str, Pass]:
        return known_passes(self._machine, *self._engines)

    def candidates(self, program: Program) -> Mapping[str, Sequence[Mapping[str, object]]]:
        return self._plans.all_candidates(program)

    def build(self, program: Program, mark: Callable[[str], None]) -> Built:
        emitted = emit_model(program, self._machine, self._plans)
        mark("emit")
        interface = interface_sources(program.name, program.inputs, program.outputs, batched=program.batched)
        sources = merge_sources(emitted.sources, interface)
        compiler = find_compiler(self._machine)
        flags = (*baseline_flags(self._machine, compiler), *self._threads)
        kernels = {unit: target_flags(self._machine, compiler) for unit in target_units(program.name, sources)}
        with scratch_folder() as folder:
            name = soname(prefix_of(program.name))
            library = compile_shared(
                sources, folder, flags, self._jobs, compiler=compiler, layers=emitted.nodes, soname=name,
                unit_flags=kernels,
            )
            binary = library.read_bytes()
        mark("cc")
        return Built(
            artifact_contents(program.name, __version__, sources, binary, [*COMMON_FLAGS, *flags], kernels),
            describe_layers(program, emitted.layers, self.candidates(program)),
            TargetInfo(self._machine.name, _machine(self._machine), self._machine.features),
            CompilerInfo(compiler.name, compiler.version),
            arena_bytes(program.block),
        )


def choose_engines(names: Sequence[str] = (), optimize: str = "speed") -> tuple[list[Engine], list[Engine]]:
    """The engines to choose from, and those for what they refuse. names, optimize: as in CompileOptions."""
    allowed = [engine for engine in ENGINES if engine.packed or optimize == "speed"]
    if not names:
        return allowed, []
    known = {engine.name: engine for engine in ENGINES}
    for name in names:
        if name not in known:
            raise InputError(f"unknown engine '{name}'", hint=f"one of: {', '.join(known)}")
        if known[name] not in allowed:
            raise InputError(
                f"engine '{name}' puts weights into code, about 20 bits each, which optimizing for size rules out",
                hint="optimize for speed, or leave that engine out",
            )
    return [known[name] for name in names], [known["loops"]]


def _machine(target: Target) -> str:
    """What the library's code is for: the target's machine, or the one that compiled it."""
    return platform.machine() if target.machine == "any" else target.machine
