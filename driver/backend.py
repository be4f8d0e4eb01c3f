"""What the driver needs of a backend: an interface, so that one more is one more file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..ir.errors import InputError
from ..ir.program import Program
from ..passes.base import Pass
from ..runtime.artifact.layers import Layer
from ..runtime.artifact.manifest import CompilerInfo, TargetInfo


@dataclass(frozen=True)
class Lowering:
    """What a user may choose of a backend; see CompileOptions. target: the names of one or more, between commas.
    tracker: of machines that measure, as KEY@HOST:PORT; "" measures on this one."""

    target: str = "native"
    engines: tuple[str, ...] = ()
    optimize: str = "speed"
    threading: str = "pool"
    tune: int = 0
    tracker: str = ""


@dataclass(frozen=True)
class Built:
    """What a backend made of a model. contents: the artifact's files by name, but for its IR and description. layers:
    the steps for each of the targets. arena_bytes: of the target that needs most. scripts: the code after each stage
    that the backend has after the passes, by the stage's name. tuned: what tuning did, in words, where the layers do
    not say it."""

    contents: Mapping[str, bytes]
    layers: Sequence[Sequence[Layer]]
    targets: Sequence[TargetInfo]
    compiler: CompilerInfo
    arena_bytes: int
    scripts: Mapping[str, str] = field(default_factory=dict)
    tuned: str = ""


class Variant(Protocol):
    """What a compilation is for one target. target: its name."""

    @property
    def target(self) -> str: ...

    def passes(self, lossy: Sequence[Pass] = ()) -> Sequence[Pass]:
        """All passes in order: those of the graph, with options that suit the backend, then its own. lossy: passes
        that a user asked for."""
        ...

    def known_passes(self) -> Mapping[str, Pass]:
        """By name, every pass that a pipeline's text can name, with its default options."""
        ...

    def candidates(self, program: Program) -> Mapping[str, Sequence[Mapping[str, object]]]:
        """By symbol of each kernel of a lowered program: what it could have been, as runtime/artifact/layers.py
        stores it."""
        ...

    def stages(self, *, tuned: bool) -> Sequence[str]:
        """The names of the stages that it has after the passes. tuned: where schedules are tuned."""
        ...

    def scripts(self, program: Program) -> Mapping[str, str]:
        """The code of a lowered program after each of these stages, as far as nothing has to be measured for it. Raises
        IRError for operations that it cannot compile."""
        ...


class Compilation(Protocol):
    """One compilation with one backend.

    variants: one for each target, the best one first. notes: what went wrong without doing harm. hints: what may give a
    better artifact.
    """

    @property
    def variants(self) -> Sequence[Variant]: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def hints(self) -> Sequence[str]: ...

    def build(self, programs: Sequence[Program], mark: Callable[[str], None]) -> Built:
        """Code for a program after all passes of each variant, in order. mark: told the name of each stage when it has
        ended."""
        ...


def only_variant(compilation: Compilation) -> Variant:
    """That of a compilation for one target. Raises InputError where there are more."""
    if len(compilation.variants) > 1:
        names = ", ".join(variant.target for variant in compilation.variants)
        raise InputError(f"passes run for one target at a time, not for {names}", hint="choose one of them")
    return compilation.variants[0]


class Backend(Protocol):
    """candidates: of each layer, that tuning measures where it is not said how many."""

    name: str
    candidates: int

    def check(self, lowering: Lowering) -> None:
        """Raises InputError for choices that do not exist or do not go together."""
        ...

    def open(self, lowering: Lowering, *, jobs: int | None = None, build: bool = True) -> Compilation:
        """A compilation. jobs: compilers at a time. build: whether `build` will be called; what that needs is looked
        for now, and where it is missing TercetError says so."""
        ...
