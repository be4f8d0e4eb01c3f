"""The compiler driver: from a model through the passes and the C compiler to an artifact."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..ir.losses import Losses
from ..ir.program import Program
from ..passes.base import Pass
from ..passes.pipeline import Observer, Stage, numbered, run_passes
from ..runtime.artifact.artifact import Artifact
from ..runtime.artifact.layers import Layer, layers_to_json
from ..runtime.artifact.losses import LOSSES, losses_to_json
from ..runtime.artifact.manifest import Manifest, PortInfo, layers_file, prefix_of, target_folder
from ..runtime.artifact.stored_ir import StageWriter, ir_contents
from ..version import __version__
from .advice import advice
from .backend import Built, Variant
from .backends import find_backend
from .ir_dump import IMPORT_LABEL, IRDump
from .lossy import Calibration, lossy_pass
from .options import DEFAULTS, CompileOptions
from .source import Model, program_of, source_hash

StageObserver = Callable[[str, "Program | None", float], None]
"""Called after every stage of a compilation with its label, the program (None once it is C) and the seconds it took."""


@dataclass(frozen=True, repr=False)
class Compiled:
    """What `compile` made. target: the name, of several all, between commas, the best first. layers: the steps for the
    best. size, arena_bytes: bytes of the artifact and of the working memory of one sample, for the target that needs
    most. notes: what went wrong without doing harm. losses: what lossy passes did, None without. replaced: there was an
    artifact at this path before. hints: what may give a better artifact. tuned: what tuning did, in words, where the
    layers do not say it. scripts: label and text of every stage after the passes, for backends that have some."""

    path: Path
    name: str
    target: str
    stages: tuple[tuple[str, float], ...]
    layers: tuple[Layer, ...]
    arena_bytes: int
    size: int
    notes: tuple[str, ...] = ()
    losses: Losses | None = None
    replaced: bool = False
    hints: tuple[str, ...] = ()
    tuned: str = ""
    scripts: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        steps = f"{len(self.layers)} steps, {self.size} bytes"
        return f"Compiled({self.name!r}, target {self.target}, {steps}, path {str(self.path)!r})"


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def compile_model(
    model: Model | Program,
    output: str | Path | None = None,
    options: CompileOptions = DEFAULTS,
    *,
    name: str | None = None,
    jobs: int | None = None,
    as_directory: bool = False,
    calibrate: Calibration | None = None,
    dump_ir: str | Path | None = None,
    on_stage: StageObserver | None = None,
) -> Compiled:
    """See `api.compile`."""
    lossy = lossy_pass(options.lossy, calibrate)
    if output is not None:
        Artifact.check_output(output, as_folder=as_directory)
    compilation = find_backend(options.backend).open(options.lowering, jobs=jobs)
    timeline = _Timeline(on_stage)
    program = program_of(model, options, name)
    path = Path(output) if output is not None else Path(f"{prefix_of(program.name)}.tercet")
    replaced = Artifact.check_output(path, as_folder=as_directory)
    digest = source_hash(model)
    program = program.clone()
    dump = IRDump(dump_ir)

    def observer(ir: StageWriter, folder: str = "") -> Observer:
        def observe(label: str, at: Program, changed: bool) -> None:
            if lossy and label.endswith(lossy.name):
                ir.drop_constants()
            ir.add(label, at, folder, changed=changed)
            dump.write(folder + label, at)
            timeline.mark(folder + label, at)

        return observe

    programs, writers = _lower(program, compilation.variants, lossy, observer)
    built = compilation.build(programs, lambda label: timeline.mark(label, program if label == "emit" else None))
    names = [target.name for target in built.targets]
    scripts = labelled(built.scripts, stages_of(compilation.variants[0], lossy))
    contents = {**built.contents, **ir_contents(writers, scripts)}
    for target, layers in zip(names, built.layers, strict=True):
        contents[layers_file(target, names)] = layers_to_json(layers)
    if lossy:
        contents[LOSSES] = losses_to_json(lossy.losses)
    Artifact.write(path, contents, _manifest(program, built, digest, options), as_folder=as_directory)
    timeline.mark("pack", None)
    return Compiled(
        path, program.name, ",".join(names), tuple(timeline.marks), tuple(built.layers[0]), built.arena_bytes,
        sum(len(data) for data in contents.values()), tuple(compilation.notes), lossy.losses if lossy else None,
        replaced, (*compilation.hints, *advice(options, built.layers[0])), built.tuned,
        tuple(scripts.items()),
    )  # fmt: skip


def _lower(
    program: Program,
    variants: Sequence[Variant],
    lossy: Pass | None,
    observer: Callable[[StageWriter, str], Observer],
) -> tuple[list[Program], dict[str, StageWriter]]:
    """The program after all passes of each variant, and its IR after each, by the target's folder. Passes that are the
    same for all variants run once. One alone changes the program itself."""
    ir, names = StageWriter(), [variant.target for variant in variants]
    pipelines = [stages_of(variant, lossy) for variant in variants]
    common = _common_stages(pipelines) if len(variants) > 1 else 0
    observe = observer(ir, "")
    observe(IMPORT_LABEL, program, True)
    run_passes(program, pipelines[0][:common], observe)
    programs, writers = [], dict[str, StageWriter]()
    for target, stages in zip(names, pipelines, strict=True):
        folder = target_folder(target, names)
        writers[folder] = ir.copy()
        programs.append(program.clone() if len(variants) > 1 else program)
        run_passes(programs[-1], stages[common:], observer(writers[folder], folder))
    return programs, writers


def _common_stages(pipelines: Sequence[Sequence[Stage]]) -> int:
    """How many stages at the beginning do the same in all pipelines."""
    columns = zip(*pipelines, strict=False)
    return sum(takewhile(bool, (all(one.step.does_the_same(first.step) for one in rest) for first, *rest in columns)))


def stages_of(variant: Variant, lossy: Pass | None = None) -> list[Stage]:
    """All passes of a variant, numbered."""
    return numbered(variant.passes([lossy] if lossy else []))


T = TypeVar("T")


def labelled(scripts: Mapping[str, T], passes: Sequence[Stage]) -> dict[str, T]:
    """What there is of each stage after passes, by its label. scripts: by the stage's name."""
    return {f"{number:02d}-{name}": script for number, (name, script) in enumerate(scripts.items(), len(passes) + 1)}


def labels_of(variant: Variant, lossy: Pass | None, *, tuned: bool) -> list[str]:
    """Of all stages, the import among them. tuned: where schedules are tuned."""
    passes = stages_of(variant, lossy)
    return [IMPORT_LABEL, *(one.label for one in passes), *labelled(dict.fromkeys(variant.stages(tuned=tuned)), passes)]


class _Timeline:
    """Seconds spent in each stage."""

    def __init__(self, observer: StageObserver | None) -> None:
        self.marks: list[tuple[str, float]] = []
        self.observer, self.last = observer, time.perf_counter()

    def mark(self, label: str, program: Program | None) -> None:
        now = time.perf_counter()
        self.marks.append((label, now - self.last))
        if self.observer is not None:
            self.observer(label, program, now - self.last)
        self.last = time.perf_counter()


def _manifest(program: Program, built: Built, source_hash: str, options: CompileOptions) -> Manifest:
    return Manifest(
        tool_version=__version__,
        name=program.name,
        prefix=prefix_of(program.name),
        batched=program.batched,
        targets=tuple(built.targets),
        compiler=built.compiler,
        inputs=tuple(map(PortInfo.of, program.inputs)),
        outputs=tuple(map(PortInfo.of, program.outputs)),
        source_sha256=source_hash,
        backend=options.backend,
        options=options.to_json(),
    )
