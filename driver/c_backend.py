"""The C backend as the driver sees it: its passes, then C, compiled together with the runtime to a library."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence

from ..backends.c.costs import read_costs
from ..backends.c.emit_targets import Part, emit_targets
from ..backends.c.engine import Engine
from ..backends.c.engines import ENGINES
from ..backends.c.lowering.pipeline import Tuning, all_passes, known_passes
from ..backends.c.plans import Plans
from ..backends.c.target import MEASURED, Target, common_target, find_targets, runs_here
from ..backends.c.toolchain import (
    COMMON_FLAGS,
    baseline_flags,
    compile_shared,
    find_compiler,
    target_flags,
    threading_flags,
    with_gcc_flags,
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
    candidates = 6

    def check(self, lowering: Lowering) -> None:
        if lowering.tracker:
            raise InputError("tracker: the C backend tunes on this machine alone", hint="see docs/tvm.md")
        find_targets(lowering.target)
        threading_flags(lowering.threading)
        if lowering.optimize not in OPTIMIZE:
            raise InputError(f"optimize: expected 'speed' or 'size', got '{lowering.optimize}'")
        choose_engines(lowering.engines, lowering.optimize)

    def open(self, lowering: Lowering, *, jobs: int | None = None, build: bool = True) -> CCompilation:
        return CCompilation(lowering, jobs, build)


class CVariant:
    """See `Variant`. machine: the target."""

    def __init__(self, machine: Target, lowering: Lowering, jobs: int | None) -> None:
        self.machine = machine
        self._engines = choose_engines(lowering.engines, lowering.optimize)
        self.tuner = Tuner(machine, jobs) if lowering.tune else None
        self._candidates = lowering.tune
        self.plans = Plans(machine, [*self._engines[0], *self._engines[1]])

    @property
    def target(self) -> str:
        return self.machine.name

    @property
    def hints(self) -> Sequence[str]:
        """Where engines were chosen by numbers that were measured for another target."""
        known = read_costs()
        measured = set(known[MEASURED]) <= set(known.get(self.target, ()))
        if self.tuner or measured or len(self._engines[0]) < 2:
            return ()
        here = not runs_here(self.machine)
        advice = "--tune measures this machine" if here else "use --tune on a machine of that kind"
        return (f"costs for {self.target} were not measured, so those of another target chose the engines; {advice}",)

    def passes(self, lossy: Sequence[Pass] = ()) -> Sequence[Pass]:
        tuning = Tuning(self.tuner, self._candidates)
        return all_passes(self.machine, *self._engines, tuning, lossy, self.plans)

    def known_passes(self) -> Mapping[str, Pass]:
        return known_passes(self.machine, *self._engines)

    def candidates(self, program: Program) -> Mapping[str, Sequence[Mapping[str, object]]]:
        return self.plans.all_candidates(program)

    def stages(self, *, tuned: bool) -> Sequence[str]:
        return ()

    def scripts(self, program: Program) -> Mapping[str, str]:
        return {}


class CCompilation:
    """See `Compilation`."""

    def __init__(self, lowering: Lowering, jobs: int | None, build: bool) -> None:
        targets = find_targets(lowering.target)
        self._common, self._jobs = common_target(targets), jobs
        self._threads = threading_flags(lowering.threading)
        if build:
            find_compiler(self._common)
        self.variants = [CVariant(target, lowering, jobs) for target in targets]

    @property
    def notes(self) -> Sequence[str]:
        return list(dict.fromkeys(note for one in self.variants if one.tuner for note in one.tuner.notes))

    @property
    def hints(self) -> Sequence[str]:
        return [hint for one in self.variants for hint in one.hints]

    def build(self, programs: Sequence[Program], mark: Callable[[str], None]) -> Built:
        parts = [Part(at, one.machine, one.plans) for at, one in zip(programs, self.variants, strict=True)]
        emitted, program = emit_targets(parts), programs[0]
        mark("emit")
        interface = interface_sources(
            program.name, program.inputs, program.outputs, batched=program.batched, definitions=emitted.definitions
        )
        sources = merge_sources(emitted.sources, interface)
        compiler = find_compiler(self._common)
        flags = (*baseline_flags(self._common, compiler), *self._threads)
        special = {
            one.target: (*target_flags(one.machine, compiler), *emitted.flags[one.target]) for one in self.variants
        }
        kernels = with_gcc_flags(target_units(program.name, sources, special), emitted.gcc_flags, compiler)
        with scratch_folder() as folder:
            name = soname(prefix_of(program.name))
            library = compile_shared(
                sources, folder, flags, self._jobs, compiler=compiler, layers=emitted.nodes, soname=name,
                unit_flags=kernels,
            )
            binary = library.read_bytes()
        mark("cc")
        machine = platform.machine() if self._common.machine == "any" else self._common.machine
        return Built(
            artifact_contents(program.name, __version__, sources, binary, [*COMMON_FLAGS, *flags], kernels),
            [
                describe_layers(part.program, layers, one.candidates(part.program))
                for one, part, layers in zip(self.variants, parts, emitted.layers, strict=True)
            ],
            [TargetInfo(one.target, machine, one.machine.features) for one in self.variants],
            CompilerInfo(compiler.name, compiler.version),
            max(arena_bytes(program.block) for program in programs),
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
