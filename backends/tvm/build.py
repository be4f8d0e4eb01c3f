"""A TVM module as a shared library, and as text at every stage on the way to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...ir.host import scratch_folder
from ...ir.interruption import signals_kept
from ...ir.kn.kernel import KernelOp
from ...ir.program import Program
from ...ir.types import shape_of
from .lowering.module import lower
from .package import cpu_pipeline, tvm
from .targets import STAGES, Target

RELAX, FUSED, TUNED = STAGES
LIBRARY = "model.so"

Schedules = Callable[[Any], Any]
"""Gives functions of a fused module schedules, such as those that tuning found."""


@dataclass(frozen=True)
class Module:
    """library: for TVM's virtual machine. scripts: TVMScript without constants by stage, in order. version: of TVM."""

    library: bytes
    scripts: dict[str, str]
    version: str


@signals_kept()
def build(program: Program, target: Target, schedules: Schedules | None = None) -> Module:
    """Of a program at kernel level. Raises IRError for operations without a form."""
    stages = _stages(program, target)
    if schedules is not None:
        stages[TUNED] = schedules(stages[FUSED])
    return Module(library_of(list(stages.values())[-1], target), _scripts(stages), tvm.__version__)


@signals_kept()
def scripts(program: Program, target: Target) -> dict[str, str]:
    """TVMScript of the stages before tuning, as `Module` has them. Raises IRError for operations without a form."""
    return _scripts(_stages(program, target))


def _stages(program: Program, target: Target) -> dict[str, Any]:
    module = lower(program, target)
    return {RELAX: module, FUSED: fused(module, target, fold=not _has_empty_values(program))}


def _scripts(stages: Mapping[str, Any]) -> dict[str, str]:
    return {name: module.script(show_meta=False) for name, module in stages.items()}


@signals_kept()
def fused(module: Any, target: Target, *, fold: bool = True) -> Any:
    """Operators become primitive functions, and those that can be one become one. fold: whether what depends on
    constants alone is computed; an empty result makes a library that TVM cannot read."""
    kind = target.for_tvm()
    with kind:
        steps = (*cpu_pipeline.library_dispatch_passes(kind), *cpu_pipeline.legalize_passes(kind))
        return tvm.transform.Sequential([step for step in steps if fold or step.info.name != "FoldConstant"])(module)


def _has_empty_values(program: Program) -> bool:
    kernels = (op for op in program.ops if isinstance(op, KernelOp))
    return any(0 in shape_of(value) for kernel in kernels for op in kernel.inner for value in op.results)


def executable(module: Any, target: Target) -> Any:
    """Of a fused module, for TVM's virtual machine."""
    kind = target.for_tvm()
    steps = (*cpu_pipeline.dataflow_lower_passes(kind), *cpu_pipeline.finalize_passes(kind))
    return tvm.compile(module, target=kind, relax_pipeline=tvm.transform.Sequential(steps))


@signals_kept()
def library_of(module: Any, target: Target) -> bytes:
    """A fused module as the bytes of a shared library."""
    with scratch_folder() as folder:
        path = folder / LIBRARY
        executable(module, target).export_library(str(path))
        return path.read_bytes()


def compiled(module: Any, target: Target) -> Any:
    """An executable of TVM's virtual machine."""
    return executable(fused(module, target), target)
