"""The TVM backend as the driver sees it. TVM is imported when something is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdsl.ir import SSAValue

from ..backends.tvm.targets import NAMES, STAGES, Target, find_target
from ..backends.tvm.tracker import Tracker
from ..ir.errors import InputError, ToolchainError
from ..ir.kn.kernel import KernelOp
from ..ir.locations import source_names
from ..ir.names import identifier
from ..ir.program import Program
from ..ir.tn.constant import ConstantOp
from ..ir.tn.linear import ConvOp, MatMulOp
from ..ir.types import element_of, shape_of, storage_dtype
from ..passes.base import Pass
from ..passes.pipeline import KNOWN
from ..runtime.artifact.layers import describe_layers
from ..runtime.artifact.manifest import CompilerInfo, TargetInfo, prefix_of, soname
from ..runtime.check.timing import cpu_name
from ..runtime.report.tables import table
from .backend import Built, Lowering
from .tuning import cache_folder

if TYPE_CHECKING:
    from ..backends.tvm.tuning import Tuned, Tuner


class TvmBackend:
    name = "tvm"
    candidates = 64

    def check(self, lowering: Lowering) -> None:
        find_target(lowering.target)
        if unknown := [name for name in lowering.engines if name not in NAMES]:
            raise InputError(f"the TVM backend has no engine '{unknown[0]}'", hint=f"one of: {', '.join(NAMES)}")
        unused = {"threading": lowering.threading != "pool", "optimize": lowering.optimize != "speed"}
        if given := [name for name, value in unused.items() if value]:
            raise InputError(f"{given[0]}: the TVM backend has no such choice", hint="use the C backend")
        if lowering.tracker:
            Tracker.parse(lowering.tracker)

    def open(self, lowering: Lowering, *, jobs: int | None = None, build: bool = True) -> TvmCompilation:
        require_tvm()
        return TvmCompilation(lowering, jobs, build)


def require_tvm() -> None:
    """Raises ToolchainError where TVM is not installed, or is one without what is used of it."""
    try:
        from ..backends.tvm import package  # noqa: F401
    except ImportError as error:
        what = "TVM is not installed" if error.name == "tvm" else f"another TVM than 0.27 is installed: {error}"
        raise ToolchainError(what, hint="pip install 'tercet[tvm]'") from error


class TvmCompilation:
    """See `Compilation` and `Variant`: it has one target."""

    notes: Sequence[str] = ()
    hints: Sequence[str] = ()

    def __init__(self, lowering: Lowering, jobs: int | None, build: bool) -> None:
        self._target, self._engines = find_target(lowering.target), lowering.engines
        self._tuner = tuner_of(self._target, lowering, jobs) if build and lowering.tune else None

    @property
    def variants(self) -> Sequence[TvmCompilation]:
        return [self]

    @property
    def target(self) -> str:
        return self._target.name

    def passes(self, lossy: Sequence[Pass] = ()) -> Sequence[Pass]:
        from ..backends.tvm.lowering.pipeline import all_passes

        return all_passes(lossy, self._engines)

    def known_passes(self) -> Mapping[str, Pass]:
        return {step.name: step for step in (*KNOWN, *self.passes())}

    def candidates(self, program: Program) -> Mapping[str, Sequence[Mapping[str, object]]]:
        return {}

    def stages(self, *, tuned: bool) -> Sequence[str]:
        return STAGES if tuned else STAGES[:-1]

    def scripts(self, program: Program) -> Mapping[str, str]:
        from ..backends.tvm.build import scripts

        return scripts(program, self._target)

    def build(self, programs: Sequence[Program], mark: Callable[[str], None]) -> Built:
        from ..backends.tvm.build import build

        (program,) = programs
        tuned: list[Tuned] = []

        def schedules(module: Any) -> Any:
            assert self._tuner is not None
            module, found = self._tuner.tuned(module)
            tuned.extend(found)
            mark("tvm-tune")
            return module

        module = build(program, self._target, schedules if self._tuner is not None else None)
        mark("tvm")
        return Built(
            {f"lib/{soname(prefix_of(program.name))}": module.library},
            [describe_layers(program, _steps(program), {})],
            [TargetInfo(self._target.name, self._target.machine, self._target.features)],
            CompilerInfo("tvm", f"TVM {module.version}"),
            0,
            module.scripts,
            _tuned_text(tuned, self._tuner.folder) if self._tuner is not None else "",
        )


def tuner_of(target: Target, lowering: Lowering, jobs: int | None) -> Tuner:
    """Records lie in a folder for each kind of machine: of a tracker its key, else this CPU."""
    from ..backends.tvm.tuning import Tuner

    tracker = Tracker.parse(lowering.tracker) if lowering.tracker else None
    machine = tracker.key if tracker is not None else identifier(cpu_name())
    return Tuner(target, cache_folder() / "tvm" / f"{target.name}-{machine}", lowering.tune, tracker, jobs)


def _tuned_text(tuned: Sequence[Tuned], folder: Path) -> str:
    times = ["none ran" if one.seconds is None else f"{one.seconds * 1e6:.3g}" for one in tuned]
    rows = [[one.name, str(one.now), str(one.tried - one.now), time] for one, time in zip(tuned, times, strict=True)]
    found = table(("function", "measured", "before", "fastest (us)"), rows, "<>>>", width=120)
    problems = [f"{one.name}: some candidates failed: {one.problem.splitlines()[-1]}" for one in tuned if one.problem]
    return "\n".join([f"functions tuned: {len(tuned)}, records in {folder}", found, *problems, ""])


def _bytes_of(value: SSAValue) -> int:
    return prod(shape_of(value)) * storage_dtype(element_of(value)).itemsize


def _steps(program: Program) -> list[Mapping[str, object]]:
    """What a kernel itself does not say of its step. Constants lie in the library, and memory is TVM's own."""
    found = list[Mapping[str, object]]()
    for kernel in (op for op in program.ops if isinstance(op, KernelOp)):
        constants = [op for op in kernel.inner if isinstance(op, ConstantOp)]
        sizes: dict[SSAValue, int] = {op.result: _bytes_of(op.result) for op in constants}
        products = [op for op in kernel.inner if isinstance(op, ConvOp | MatMulOp)]
        weights, size = sum(sizes.get(op.operands[1], 0) for op in products), sum(sizes.values())
        found.append({
            "symbol": kernel.symbol.data, "engine": kernel.engine.data, "schedule": kernel.schedule_values,
            "nodes": source_names(kernel.location),
            "ops": [op.name for op in kernel.inner if op not in constants],
            "results": [str(value.type) for value in kernel.results], "offsets": [-1] * len(kernel.results),
            "weight_bytes_stored": size, "digit_bytes_stored": weights, "weight_bytes": size, "scratch_bytes": 0,
            "parallel": False,
        })  # fmt: skip
    return found
