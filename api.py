"""The public functions of tercet. The command line is a thin layer over them; each verb has its function here."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .backends.c.emit import Emitted, emit_model
from .backends.c.engine import Engine
from .backends.c.engines import ENGINES, describe_engine
from .backends.c.target import TARGETS, Target, find_target, runs_here
from .backends.c.toolchain import COMMON_FLAGS, compile_shared, find_compiler, target_flags
from .ir.errors import InputError, TercetError
from .ir.kn.kernel import KernelOp
from .ir.program import Program
from .passes.pipeline import run_passes, stages
from .passes.plan_memory import arena_bytes
from .runtime.artifact import SUFFIX, Artifact
from .runtime.layers import Layer, describe_layers, layers_to_json
from .runtime.manifest import CompilerInfo, Manifest, PortInfo, TargetInfo, prefix_of
from .runtime.packaging import artifact_contents, interface_sources, merge_sources

if TYPE_CHECKING:
    from onnx import ModelProto

    from .runtime.bench import BenchReport
    from .runtime.loader import LoadedModel
    from .runtime.report import Inspection
    from .runtime.verify import Verification

StageObserver = Callable[[str, "Program | None", float], None]
"""Called after every stage of a compilation with its label, the program (None once it is C) and the seconds it took."""

IMPORT_LABEL = "00-import"


@dataclass(frozen=True)
class Compiled:
    """What `compile` made. size, arena_bytes: bytes of the artifact and of the working memory of one sample."""

    path: Path
    name: str
    target: str
    stages: tuple[tuple[str, float], ...]
    layers: tuple[Layer, ...]
    arena_bytes: int
    size: int


def import_onnx(model: ModelProto | str | Path, *, name: str | None = None, batch: int | None = None) -> Program:
    """The program of an ONNX, QDQ or QONNX model. See `frontend.onnx.import_model`."""
    from .frontend.onnx import import_model

    return import_model(model, name=name, batch=batch)


def compile(
    model: ModelProto | Program | str | Path,
    output: str | Path | None = None,
    *,
    target: str = "native",
    batch: int | None = None,
    name: str | None = None,
    jobs: int | None = None,
    as_directory: bool = False,
    engines: Sequence[str] | None = None,
    dump_ir: str | Path | None = None,
    on_stage: StageObserver | None = None,
) -> Compiled:
    """Compiles a model to an artifact.

    output: path of the artifact (default: NAME.tercet in the working directory). target: one of `targets()` or
    `native`. batch: fixes a symbolic batch. jobs: C compilers at a time. engines: names of the engines to choose from
    (default: all); `loops` computes what they refuse. dump_ir: a folder that gets the IR and its weights
    after every pass.
    Raises TercetError: for the model, the options or the C compiler. Nothing is written unless everything succeeded.
    """
    machine = find_target(target)
    timeline = _Timeline(on_stage)
    program = model if isinstance(model, Program) else import_onnx(model, name=name, batch=batch)
    source_hash = _source_hash(model, program)
    program = program.clone()
    dump = _IRDump(dump_ir)
    texts: dict[str, bytes] = {}

    def observe(label: str, at: Program) -> None:
        texts[f"ir/{label}.mlir"] = at.text().encode()
        dump.write(label, at)
        timeline.mark(label, at)

    observe(IMPORT_LABEL, program)
    run_passes(program, stages(machine, *_choose_engines(engines)), observe)
    emitted = emit_model(program, machine)
    timeline.mark("emit", program)
    contents, compiler = _build(program, machine, emitted, jobs)
    timeline.mark("cc", None)
    cycles = [op.predicted_cycles if isinstance(op, KernelOp) else 0 for op in program.ops]
    layers = describe_layers(program, emitted.layers, cycles)
    contents |= {**texts, "ir/weights.npz": program.weights.to_bytes(), "layers.json": layers_to_json(layers)}
    path = Path(output) if output is not None else Path(f"{prefix_of(program.name)}.tercet")
    manifest = _manifest(program, machine, compiler, source_hash, {"batch": batch, "engines": _names(engines)})
    Artifact.write(path, contents, manifest, as_folder=as_directory or None)
    timeline.mark("pack", None)
    size = sum(len(data) for data in contents.values())
    return Compiled(path, program.name, machine.name, tuple(timeline.marks), layers, arena_bytes(program), size)


def load(path: str | Path, *, threads: int = 1) -> LoadedModel:
    """Maps an artifact's code, after checking its hashes and this CPU. See `runtime.loader.load`."""
    from .runtime.loader import load as load_artifact

    return load_artifact(path, threads=threads)


def run(artifact: str | Path, inputs: Any, *, threads: int = 1) -> dict[str, np.ndarray]:
    """Runs an artifact once: inputs by name (or one array), outputs by name. See `LoadedModel.run`."""
    with load(artifact, threads=threads) as model:
        return model.run(inputs)


def inspect(
    path: str | Path, *, target: str = "native", batch: int | None = None, engines: Sequence[str] | None = None
) -> Inspection:
    """What an artifact holds, or what a source model becomes: its layers, and the IR after every pass.

    Executes nothing from the file. target, batch, engines: as for `compile`; for source models only.
    """
    from .runtime.report import inspect_artifact, inspect_program

    if _is_artifact(path):
        return inspect_artifact(path)
    machine, program = find_target(target), import_onnx(path, batch=batch)
    texts = [(IMPORT_LABEL, program.text())]
    chosen = stages(machine, *_choose_engines(engines))
    run_passes(program, chosen, lambda label, at: texts.append((label, at.text())))
    return inspect_program(program, texts, machine.name)


def verify(
    artifact: str | Path,
    against: ModelProto | str | Path,
    *,
    inputs: str | Path | None = None,
    samples: int | None = None,
    per_layer: bool = False,
    threads: int = 1,
    rtol: float = 1e-5,
    on_progress: Callable[[str], None] | None = None,
) -> Verification:
    """Compares an artifact with its source model: the interpreter on the imported model, onnxruntime where it can run
    the model as it is, and expected results where `inputs` has them.

    inputs: an .npz file (see `runtime.samples.file_samples`); absent: random ones. samples: how many; default 8 random
    ones or the whole file. rtol: for floats, of the tensor's largest magnitude; integers must be equal. per_layer: also
    compares every layer. on_progress: told what is being done. A difference is no error: see `Verification.ok`.
    """
    from .runtime.samples import file_samples, random_samples
    from .runtime.verify import open_second_opinion, verify_program

    if samples is not None and samples < 1:
        raise InputError(f"samples: want at least 1, have {samples}")
    with load(artifact, threads=threads) as loaded:
        manifest = loaded.manifest
        batch = manifest.options.get("batch")
        reference = import_onnx(against, batch=batch if isinstance(batch, int) else None)
        _check_same_ports(manifest, reference)
        if inputs is None:
            ranges = {port.name: (port.range[0], port.range[1]) for port in manifest.inputs if port.range}
            chosen = random_samples(manifest.inputs, batched=manifest.batched, count=samples or 8, ranges=ranges)
        else:
            chosen = file_samples(inputs, manifest.inputs, manifest.outputs, batched=manifest.batched, limit=samples)
        second, note = open_second_opinion(against)
        notes = [note] if note else []
        if _source_hash(against, reference) != manifest.source_sha256:
            notes.append("the artifact was compiled from another file than this model")
        return verify_program(
            loaded, reference, chosen, second=second, notes=notes, per_layer=per_layer, rtol=rtol,
            on_progress=on_progress,
        )  # fmt: skip


def bench(
    path: str | Path,
    *,
    source: ModelProto | str | Path | None = None,
    against: Sequence[str] = ("onnxruntime",),
    target: str = "native",
    threads: int = 1,
    batch: int = 1,
    repeats: int = 25,
    per_layer: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> BenchReport:
    """Times an artifact, or a model that is compiled for this, and its peers in turns. See `runtime.bench`.

    source: the model that the peers run; for a model it is the model itself. repeats: rounds.
    """
    from .runtime.bench import bench_artifact

    if _is_artifact(path):
        return bench_artifact(
            path, source=source, against=against, threads=threads, batch=batch, repeats=repeats, per_layer=per_layer,
            on_progress=on_progress,
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tercet-") as folder:
        if on_progress is not None:
            on_progress("compiling")
        made = compile(path, Path(folder) / "model.tercet", target=target).path
        return bench_artifact(
            made, source=path if source is None else source, against=against, threads=threads, batch=batch,
            repeats=repeats, per_layer=per_layer, on_progress=on_progress,
        )  # fmt: skip


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


def targets() -> list[TargetStatus]:
    """Every target, whether its code runs on this machine, and the C compiler for it."""
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


def _is_artifact(path: str | Path) -> bool:
    """By what it is, not by its name: a folder, or a file that begins as a zip does. A missing file is what it would
    be by its name."""
    path = Path(path)
    if path.is_dir():
        return True
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04" or path.suffix == SUFFIX
    except OSError:
        return path.suffix == SUFFIX


def _check_same_ports(manifest: Manifest, reference: Program) -> None:
    """The artifact and the model must have the same inputs and outputs. Raises InputError."""

    def texts(ports: Sequence[Any]) -> list[str]:
        return [f"{port.name} {port.dtype} {list(port.shape)}" for port in ports]

    sides = (
        ("inputs", texts(manifest.inputs), texts(reference.inputs)),
        ("outputs", texts(manifest.outputs), texts(reference.outputs)),
    )
    for kind, have, want in sides:
        if have != want:
            raise InputError(
                f"the artifact's {kind} are {'; '.join(have)}; the model's are {'; '.join(want)}",
                hint="verify it against the model it was compiled from",
            )


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


def _names(engines: Sequence[str] | None) -> list[str] | None:
    return None if engines is None else sorted(engines)


def _choose_engines(names: Sequence[str] | None) -> tuple[list[Engine], list[Engine]]:
    """The engines to choose from, and those for what they refuse."""
    if names is None:
        return list(ENGINES), []
    known = {engine.name: engine for engine in ENGINES}
    for name in names:
        if name not in known:
            raise InputError(f"unknown engine '{name}'", hint=f"one of: {', '.join(known)}")
    return [known[name] for name in names], [known["loops"]]


def _source_hash(model: ModelProto | Program | str | Path, program: Program) -> str:
    """SHA-256 of the source: the file's bytes, the model's serialisation or the program's text."""
    if isinstance(model, str | Path):
        return hashlib.sha256(Path(model).read_bytes()).hexdigest()
    data = program.text().encode() if isinstance(model, Program) else model.SerializeToString(deterministic=True)
    return hashlib.sha256(data).hexdigest()


def _build(
    program: Program, target: Target, emitted: Emitted, jobs: int | None
) -> tuple[dict[str, bytes], CompilerInfo]:
    """Compiles the generated C with the runtime. Returns the artifact's files and the compiler."""
    interface = interface_sources(program.name, program.inputs, program.outputs, batched=program.batched)
    sources = merge_sources(emitted.sources, interface)
    compiler = find_compiler(target)
    flags = target_flags(target, compiler)
    with tempfile.TemporaryDirectory(prefix="tercet-") as folder:
        library = compile_shared(sources, Path(folder), flags, jobs, compiler=compiler, layers=emitted.nodes)
        binary = library.read_bytes()
    contents = artifact_contents(program.name, _version(), sources, binary, [*COMMON_FLAGS, *flags])
    return contents, CompilerInfo(compiler.name, compiler.version)


def _version() -> str:
    from . import __version__

    return __version__


def _machine(target: Target) -> str:
    """What the library's code is for: the target's machine, or the one that compiled it."""
    return platform.machine() if target.machine == "any" else target.machine


def _manifest(
    program: Program, target: Target, compiler: CompilerInfo, source_hash: str, options: Mapping[str, Any]
) -> Manifest:
    return Manifest(
        tool_version=_version(),
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
