"""What can be compiled for, and whether it runs on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from ..backends.c.engines import ENGINES, describe_engine
from ..backends.c.target import TARGETS, find_target, runs_here
from ..backends.c.toolchain import find_compiler
from ..ir.errors import TercetError


@dataclass(frozen=True)
class TargetStatus:
    """A target, as `targets` lists it. problem: why its code cannot run here; empty when it can. compiler: what builds
    for it, or why nothing does (then `compiles` is False). native: chosen when no target is named. engines: the name of
    each, and what it computes."""

    name: str
    machine: str
    vector_bits: int
    features: tuple[str, ...]
    problem: str
    compiler: str
    compiles: bool
    native: bool
    engines: tuple[tuple[str, str], ...]


def target_statuses() -> list[TargetStatus]:
    """See `api.targets`."""
    native, found = find_target("native").name, []
    kinds = tuple((engine.name, describe_engine(engine.name)) for engine in ENGINES)
    for target in TARGETS.values():
        try:
            compiler, compiles = find_compiler(target).version, True
        except TercetError as error:
            compiler, compiles = error.what, False
        found.append(
            TargetStatus(
                target.name, target.machine, 8 * target.vector_bytes, target.features, runs_here(target), compiler,
                compiles, target.name == native, kinds,
            )
        )  # fmt: skip
    return found
