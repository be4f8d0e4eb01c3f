"""The compiler driver: from a model through the passes and the C compiler to an artifact."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends.c.costs import read_costs
from ..backends.c.emit import Emitted, emit_model
from ..backends.c.engine import Engine
from ..backends.c.engines import ENGINES
from ..backends.c.lowering.pipeline import Tuning, stages
from ..backends.c.target import MEASURED, Target, find_target, runs_here
from ..backends.c.toolchain import (
    COMMON_FLAGS,
    baseline_flags,
    compile_shared,
    find_compiler,
    target_flags,
    threading_flags,
)
from ..ir.errors import ArtifactError, InputError
from ..ir.host import scratch_folder
from ..ir.kn.memory import arena_bytes
from ..ir.losses import Losses
from ..ir.program import Program
from ..passes.exact_averages import ExactAverages
from ..passes.lossy.options import LossyOptions
from ..passes.pipeline import run_passes
from ..runtime.artifact.artifact import Artifact
from ..runtime.artifact.layers import Layer, describe_layers, layers_to_json
from ..runtime.artifact.losses import LOSSES, losses_to_json
from ..runtime.artifact.manifest import CompilerInfo, Manifest, PortInfo, TargetInfo, prefix_of, soname
from ..runtime.artifact.packaging import artifact_contents, interface_sources, merge_sources, target_units
from ..version import __version__
from .lossy import Calibration, lossy_pass, lossy_settings
from .tuning import Tuner

if TYPE_CHECKING:
    from onnx import ModelProto

StageObserver = Callable[[str, "Program | None", float], None]
"""Called after every stage of a compilation with its label, the program (None once it is C) and the seconds it took."""

IMPORT_LABEL = "00-import"


@dataclass(frozen=True, repr=False)
class Compiled:
    """What `compile` made. size, arena_bytes: bytes of the artifact and of the working memory of one sample.
    notes: what went wrong without doing harm. losses: what lossy passes did, None without. replaced: there was an
    artifact at this path before. hints: what may give a better artifact."""

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

    def __repr__(self) -> str:
        steps = f"{len(self.layers)} steps, {self.size} bytes"
        return f"Compiled({self.name!r}, target {self.target}, {steps}, path {str(self.path)!r})"


def import_onnx(
    model: ModelProto | str | Path,
    *,
    name: str | None = None,
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Program:
    """The program of an ONNX, QDQ or QONNX model: what `compile` begins with, and what `verify` compares with.

    It computes what the model means: integers exactly, floats within 1e-5 of the largest magnitude. Averages between
    quantizers are exact where float32 decides ties by accident (`passes/exact_averages.py`). name: of the
    program; absent: the file's or graph's. batch: the size of a symbolic leading axis. Without it, a model whose inputs
    all have one becomes a program for one sample, and its artifact takes any batch. shapes: sizes of inputs by name,
    for axes that the model leaves open; -1 leaves one as it is, and the name '' means the only input.

    Raises TercetError: the file cannot be read, batch or shapes do not fit, the model is broken, or it has operators
    that tercet does not compile; that error lists all of them.
    """
    from ..frontend.onnx import import_model

    program = import_model(_checked_model(model), name=name, batch=batch, shapes=shapes)
    if ExactAverages().apply(program):
        program.drop_unused_weights()
    return program


def _checked_model(model: object) -> ModelProto | str | Path:
    """The model itself when it is one. Raises InputError that says how to make one of what people hand over."""
    if isinstance(model, str | os.PathLike):
        return Path(model)
    from onnx import ModelProto

    if isinstance(model, ModelProto):
        return model
    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__]
    hint = "pass the path of an .onnx file, or an onnx.ModelProto"
    if "torch.nn.modules.module.Module" in kinds:
        hint = "export it first: torch.onnx.export(model.eval(), (example,), 'model.onnx'); then pass that path"
    raise InputError(f"want an ONNX model, have {kinds[0]}", hint=hint)


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def compile(
    model: ModelProto | Program | str | Path,
    output: str | Path | None = None,
    *,
    target: str = "native",
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    name: str | None = None,
    jobs: int | None = None,
    as_directory: bool = False,
    engines: str | Sequence[str] | None = None,
    optimize: str = "speed",
    tune: int = 0,
    threading: str = "pool",
    weights: str | LossyOptions = "keep",
    keep: Sequence[str] = (),
    calibrate: Calibration | None = None,
    dump_ir: str | Path | None = None,
    on_stage: StageObserver | None = None,
) -> Compiled:
    """Compiles a model to an artifact.

    output: path of the artifact (default: NAME.tercet in the working directory). target: one of `targets()` or
    `native`. batch: fixes a symbolic batch. shapes: sizes of inputs by name, as for `import_onnx`. jobs: C compilers at
    a time. engines: name or names of the engines to choose from (default: all); `loops` computes what they refuse.
    optimize: `speed`, or `size` for engines alone that keep weights packed, so that no code holds any and a ternary
    weight takes at most 1.6 bits. tune: how many candidates of every layer to measure on this machine, instead of
    trusting predictions (0). threading: whose threads the model runs on: `pool` (its own), `openmp` or `none`. weights:
    what the float weights become, e.g. `ternary`; see `LossyOptions`, which has more to choose. keep: names of layers
    that stay. calibrate: data for that: an .npz file, an array of samples, or arrays by input name. dump_ir: a folder
    that gets the IR and its weights after every pass.
    Raises TercetError: for the model, the options or the C compiler. Nothing is written unless everything succeeded.
    """
    machine = find_target(target)
    threads = threading_flags(threading)
    choices = choose_engines(engines, optimize)
    lossy = lossy_pass(weights, keep, calibrate)
    if output is not None:
        Artifact.check_output(output, as_folder=as_directory or None)
    find_compiler(machine)
    tuner = Tuner(machine, jobs) if tune else None
    timeline = _Timeline(on_stage)
    program = model if isinstance(model, Program) else import_onnx(model, name=name, batch=batch, shapes=shapes)
    path = Path(output) if output is not None else Path(f"{prefix_of(program.name)}.tercet")
    replaced = Artifact.check_output(path, as_folder=as_directory or None)
    digest = source_hash(model, program)
    program = program.clone()
    dump = _IRDump(dump_ir)
    texts: dict[str, bytes] = {}

    def observe(label: str, at: Program) -> None:
        texts[f"ir/{label}.mlir"] = at.text().encode()
        dump.write(label, at)
        timeline.mark(label, at)

    observe(IMPORT_LABEL, program)
    chosen = stages(machine, *choices, Tuning(tuner, tune), [lossy] if lossy else [])
    run_passes(program, chosen, observe)
    emitted = emit_model(program, machine)
    timeline.mark("emit", program)
    contents, compiler = _build(program, machine, emitted, threads, jobs)
    timeline.mark("cc", None)
    layers = describe_layers(program, emitted.layers)
    contents |= {**texts, "ir/weights.npz": program.weights.to_bytes(), "layers.json": layers_to_json(layers)}
    options = {"batch": batch, "shapes": shape_texts(shapes), "engines": _names(engines), "tune": tune or None}
    options |= {"threading": threading} if threads else {}
    options |= {"optimize": optimize} if optimize != "speed" else {}
    if lossy:
        contents[LOSSES] = losses_to_json(lossy.losses)
        options |= lossy_settings(lossy.options)
    manifest = _manifest(program, machine, compiler, digest, options)
    Artifact.write(path, contents, manifest, as_folder=as_directory or None)
    timeline.mark("pack", None)
    size = sum(len(data) for data in contents.values())
    notes = tuple(tuner.notes) if tuner else ()
    hints = () if tuner else _cost_hints(machine, choices)
    losses = lossy.losses if lossy else None
    return Compiled(
        path, program.name, machine.name, tuple(timeline.marks), layers, arena_bytes(program.block), size, notes,
        losses, replaced, hints,
    )  # fmt: skip


def _cost_hints(machine: Target, choices: tuple[Sequence[Engine], Sequence[Engine]]) -> tuple[str, ...]:
    """Where engines were chosen by numbers that were measured for another target."""
    known = read_costs()
    if set(known[MEASURED]) <= set(known.get(machine.name, ())) or len(choices[0]) < 2:
        return ()
    advice = "--tune measures this machine" if not runs_here(machine) else "use --tune on a machine of that kind"
    return (f"costs for {machine.name} were not measured, so those of another target chose the engines; {advice}",)


def shape_texts(shapes: Mapping[str, Sequence[int]] | None) -> list[str] | None:
    """Shapes as the manifest holds them: `NAME=1,3,-1,-1`, sorted. None where there are none."""
    return sorted(f"{name}={','.join(map(str, sizes))}" for name, sizes in shapes.items()) if shapes else None


def shapes_of(options: Mapping[str, Any]) -> dict[str, list[int]]:
    """The shapes that `shape_texts` put into a manifest. Raises ArtifactError for what is not of that form."""
    found: dict[str, list[int]] = {}
    for text in options.get("shapes") or ():
        name, _, sizes = str(text).rpartition("=")
        try:
            found[name] = [int(size) for size in sizes.split(",") if size]
        except ValueError as error:
            raise ArtifactError(f"option shapes: {text!r} is no shape", hint="compile the model again") from error
    return found


def choose_engines(names: str | Sequence[str] | None, optimize: str = "speed") -> tuple[list[Engine], list[Engine]]:
    """The engines to choose from, and those for what they refuse. names, optimize: as for `compile`."""
    if optimize not in ("speed", "size"):
        raise InputError(f"unknown aim '{optimize}' of optimize", hint="one of: speed, size")
    allowed = [engine for engine in ENGINES if engine.packed or optimize == "speed"]
    if names is None:
        return allowed, []
    known = {engine.name: engine for engine in ENGINES}
    names = [names] if isinstance(names, str) else names
    for name in names:
        if name not in known:
            raise InputError(f"unknown engine '{name}'", hint=f"one of: {', '.join(known)}")
        if known[name] not in allowed:
            raise InputError(
                f"engine '{name}' puts weights into code, some 20 bits each, and optimizing for size rules that out",
                hint="optimize for speed, or leave that engine out",
            )
    return [known[name] for name in names], [known["loops"]]


def source_hash(model: ModelProto | Program | str | Path, program: Program) -> str:
    """SHA-256 of the source: the file's bytes, the model's serialisation or the program's text."""
    if isinstance(model, str | Path):
        return hashlib.sha256(Path(model).read_bytes()).hexdigest()
    data = program.text().encode() if isinstance(model, Program) else model.SerializeToString(deterministic=True)
    return hashlib.sha256(data).hexdigest()


def _names(engines: str | Sequence[str] | None) -> list[str] | None:
    return None if engines is None else sorted([engines] if isinstance(engines, str) else engines)


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


class _IRDump:
    """Writes DIR/LABEL.mlir after every pass, and the weights that the last one uses to DIR/LABEL.npz."""

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def write(self, label: str, program: Program) -> None:
        if self.folder is None:
            return
        try:
            program.save(self.folder / label)
        except OSError as error:
            raise InputError(f"cannot write the IR: {error.strerror}", where=str(self.folder)) from error


def _build(
    program: Program, target: Target, emitted: Emitted, threads: Sequence[str], jobs: int | None
) -> tuple[dict[str, bytes], CompilerInfo]:
    """Compiles the generated C with the runtime. threads: the flags for their kind. Returns the artifact's files and
    the compiler."""
    interface = interface_sources(program.name, program.inputs, program.outputs, batched=program.batched)
    sources = merge_sources(emitted.sources, interface)
    compiler = find_compiler(target)
    flags = (*baseline_flags(target, compiler), *threads)
    kernels = {unit: target_flags(target, compiler) for unit in target_units(program.name, sources)}
    with scratch_folder() as folder:
        name = soname(prefix_of(program.name))
        library = compile_shared(
            sources, folder, flags, jobs, compiler=compiler, layers=emitted.nodes, soname=name, unit_flags=kernels
        )
        binary = library.read_bytes()
    contents = artifact_contents(program.name, __version__, sources, binary, [*COMMON_FLAGS, *flags], kernels)
    return contents, CompilerInfo(compiler.name, compiler.version)


def _machine(target: Target) -> str:
    """What the library's code is for: the target's machine, or the one that compiled it."""
    return platform.machine() if target.machine == "any" else target.machine


def _manifest(
    program: Program, target: Target, compiler: CompilerInfo, source_hash: str, options: Mapping[str, Any]
) -> Manifest:
    return Manifest(
        tool_version=__version__,
        name=program.name,
        prefix=prefix_of(program.name),
        batched=program.batched,
        target=TargetInfo(target.name, _machine(target), target.features),
        compiler=compiler,
        inputs=tuple(map(PortInfo.of, program.inputs)),
        outputs=tuple(map(PortInfo.of, program.outputs)),
        source_sha256=source_hash,
        options={key: value for key, value in options.items() if value is not None},
    )
