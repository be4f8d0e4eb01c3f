"""The public functions of tercet. The command line is a thin layer over them; each verb has its function here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .backends.c.engines import ENGINES, describe_engine
from .backends.c.lowering.pipeline import stages
from .backends.c.target import TARGETS, find_target, runs_here
from .backends.c.toolchain import find_compiler
from .driver.compile import Compiled, choose_engines, compile, import_onnx, shapes_of, source_hash
from .driver.ir_dump import IMPORT_LABEL
from .driver.lossy import Calibration, calibration_data, lossy_options
from .driver.opt import opt
from .ir.errors import InputError, TercetError, UnsupportedError
from .ir.host import scratch_folder
from .ir.losses import LayerSensitivity
from .ir.program import Program
from .passes.lossy.options import LossyOptions
from .passes.lossy.sensitivity import sensitivity as measure_sensitivity
from .passes.lossy.ternarize import Ternarize
from .passes.pipeline import passes_before_lossy, run_passes
from .runtime.artifact.artifact import SUFFIX
from .runtime.artifact.losses import LOSSES
from .runtime.artifact.manifest import Manifest

if TYPE_CHECKING:
    from onnx import ModelProto

    from .ir.repetition import LayerRepetition
    from .runtime.check.bench_report import BenchReport
    from .runtime.check.verify.result import Verification
    from .runtime.load.loader import LoadedModel
    from .runtime.report.inspection import Inspection

__all__ = [
    "Compiled",
    "LayerSensitivity",
    "LossyOptions",
    "TargetStatus",
    "bench",
    "compile",
    "import_onnx",
    "inspect",
    "load",
    "opt",
    "repetition",
    "run",
    "sensitivity",
    "targets",
    "verify",
]

_quiet = np.errstate(all="ignore")
"""Values may overflow, or be no numbers, as they do in float32: numpy need not warn of it."""


def load(path: str | Path, *, threads: int = 1) -> LoadedModel:
    """Loads an artifact, to run it on `threads` threads, the calling one among them, or on one for each usable CPU.

    Its hashes and the CPU are checked before any of its code is mapped. Close the model, or use it in a `with` block.
    Raises TercetError for an artifact that is damaged or not for this machine, and for a bad number of threads.
    """
    from .runtime.load.loader import load as load_artifact

    return load_artifact(path, threads=threads)


def run(artifact: str | Path, inputs: Any, *, threads: int = 1) -> dict[str, np.ndarray]:
    """Runs an artifact once. inputs: arrays by name, or in order, or one array, in exactly the dtypes and shapes of the
    model; in a batched model the leading axis may have any size. Gives NumPy arrays by output name.
    """
    with load(artifact, threads=threads) as model:
        return model.run(inputs)


@_quiet
def inspect(
    path: str | Path,
    *,
    target: str = "native",
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    engines: str | Sequence[str] | None = None,
    optimize: str = "speed",
) -> Inspection:
    """What an artifact holds, or what a source model becomes: its layers, and the IR after every pass.

    Executes nothing from the file. target, batch, shapes, engines, optimize: as for `compile`; for models only.
    """
    from .runtime.report.inspection import inspect_artifact, inspect_program

    if _is_artifact(path):
        return inspect_artifact(path)
    machine, program = find_target(target), import_onnx(path, batch=batch, shapes=shapes)
    texts = [(IMPORT_LABEL, program.text())]
    chosen = stages(machine, *choose_engines(engines, optimize))
    run_passes(program, chosen, lambda label, at: texts.append((label, at.text())))
    return inspect_program(program, texts, machine.name)


@_quiet
def repetition(
    path: str | Path,
    *,
    budget: float = 1.0,
    bench: str | Path | None = None,
    target: str = "native",
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    engines: str | Sequence[str] | None = None,
    optimize: str = "speed",
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[LayerRepetition]:
    """Density, repetition and additions of every layer with weights of {-1, 0, 1}. See docs/sum-merge.md.

    path: an artifact, of which nothing is executed, or a model. budget: CPU seconds to search for each coding of each
    layer. bench: JSON of `bench` with `per_layer`, for measured times. target, batch, shapes, engines, optimize: as
    for `inspect`.
    """
    from .backends.c.sum_search import NativeSearch
    from .passes.sum_merge import repetition as report
    from .runtime.artifact.artifact import Artifact
    from .runtime.artifact.stored_ir import kernel_program
    from .runtime.check.bench_report import layer_seconds

    measured = None if bench is None else layer_seconds(bench)
    if _is_artifact(path):
        program = kernel_program(Artifact.open(path))
    else:
        program = import_onnx(path, batch=batch, shapes=shapes)
        run_passes(program, stages(find_target(target), *choose_engines(engines, optimize)))
    return report(program, budget, search=NativeSearch, measured=measured, on_layer=on_layer)


@_quiet
def sensitivity(
    model: ModelProto | Program | str | Path,
    calibrate: Calibration,
    *,
    weights: str | LossyOptions = "ternary",
    keep: Sequence[str] = (),
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    on_progress: Callable[[str], None] = lambda what: None,
) -> list[LayerSensitivity]:
    """Which layers of a float model to leave alone: what the network loses when one layer alone is changed, the most
    sensitive layer first. model, calibrate, weights, keep, batch, shapes: as for `compile`; first and last layers are
    tried.
    """
    options = lossy_options(weights, keep)
    if not options.lossy:
        raise InputError("nothing is changed, so nothing can be measured", hint="say which --weights to make")
    program = model.clone() if isinstance(model, Program) else import_onnx(model, batch=batch, shapes=shapes)
    for step in passes_before_lossy():
        step.apply(program)
    return measure_sensitivity(program, options, calibration_data(calibrate)(program), on_progress)


@_quiet
def verify(
    artifact: str | Path,
    against: ModelProto | str | Path,
    *,
    inputs: str | Path | None = None,
    samples: int | None = None,
    per_layer: bool = False,
    threads: int = 1,
    rtol: float = 1e-5,
    max_mismatch: float = 0.02,
    bisect: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> Verification:
    """Compares an artifact with its source model: the interpreter on the imported model, onnxruntime where it can run
    the model as it is (alone where the import fails), and expected results where `inputs` has them.

    inputs: an .npz file with arrays named like inputs and outputs, see docs/cli.md; absent: random ones. samples: how
    many; default 8 random ones or the whole file. rtol: for floats, of the tensor's largest magnitude; integers must be
    equal. per_layer: also compares every layer. max_mismatch: the share of elements in which expected results may
    differ from the model and the artifact alike. bisect: the notes name the passes after which the interpreter's result
    is another one. on_progress: told what is being done. A difference is no error: see
    `Verification.ok`.
    """
    from .runtime.artifact.stored_ir import kernel_program
    from .runtime.check.samples import file_samples, random_samples
    from .runtime.check.verify.bisect import bisection_notes, changing_passes
    from .runtime.check.verify.check import open_second_opinion, verify_program

    if samples is not None and samples < 1:
        raise InputError(f"samples: want at least 1, have {samples}")
    with load(artifact, threads=threads) as loaded:
        manifest, notes = loaded.manifest, []
        batch, shapes = manifest.options.get("batch"), shapes_of(manifest.options)
        second = open_second_opinion(against)
        reference = original = None
        try:
            reference = import_onnx(against, batch=batch if isinstance(batch, int) else None, shapes=shapes)
        except UnsupportedError as error:
            if second.session is None or LOSSES in loaded.artifact.names:
                raise
            notes.append(f"the model cannot be imported, so onnxruntime alone says what it means: {error}")
        if reference is not None:
            _check_same_ports(manifest, reference)
            if source_hash(against, reference) != manifest.source_sha256:
                notes.append("the artifact was compiled from another file than this model")
        if second.why:
            notes.append(second.why)
        if inputs is None:
            ranges = {port.name: (port.range[0], port.range[1]) for port in manifest.inputs if port.range}
            chosen = random_samples(manifest.inputs, batched=manifest.batched, count=samples or 8, ranges=ranges)
        else:
            chosen = file_samples(inputs, manifest.inputs, manifest.outputs, batched=manifest.batched, limit=samples)
        if LOSSES in loaded.artifact.names:
            # The artifact is meant to differ from the model: it is compared with what its lossy passes made of it.
            original, reference, second = reference, kernel_program(loaded.artifact), None
            chosen = replace(chosen, expected={})
            notes.append("compiled with losses: compared with the artifact's own IR, not with the model")
        if bisect:
            imported = None if LOSSES in loaded.artifact.names else reference
            tell = on_progress or (lambda what: None)
            notes += bisection_notes(changing_passes(loaded.artifact, imported, chosen, rtol, tell))
        return verify_program(
            loaded, reference, chosen, second=second, original=original, notes=notes, per_layer=per_layer, rtol=rtol,
            max_mismatch=max_mismatch, on_progress=on_progress,
        )  # fmt: skip


@_quiet
def bench(
    path: str | Path,
    *,
    source: ModelProto | str | Path | None = None,
    against: Sequence[str] = ("onnxruntime",),
    target: str = "native",
    shapes: Mapping[str, Sequence[int]] | None = None,
    threads: int = 1,
    batch: int = 1,
    repeats: int = 25,
    per_layer: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> BenchReport:
    """Times an artifact, or a model that is compiled for this, and its peers in turns. See docs/cli.md.

    source: the model that the peers run; for a model it is the model itself. target, shapes: as for `compile`, for a
    model only. batch: samples in one call. repeats: rounds.
    """
    from .runtime.check.bench import bench_artifact

    if _is_artifact(path):
        return bench_artifact(
            path, source=source, against=against, threads=threads, batch=batch, repeats=repeats, per_layer=per_layer,
            on_progress=on_progress,
        )  # fmt: skip
    with scratch_folder() as folder:
        if on_progress is not None:
            on_progress("compiling")
        made = compile(path, folder / "model.tercet", target=target, shapes=shapes).path
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


def stage_labels(*, lossy: bool = False) -> list[str]:
    """The labels of the IR that `compile` makes, in order: `00-import`, then one for each pass. lossy: with the pass
    that changes weights."""
    steps = [Ternarize(LossyOptions("ternary"))] if lossy else []
    return [IMPORT_LABEL, *(stage.label for stage in stages(find_target("generic"), (), lossy=steps))]


def _is_artifact(path: str | Path) -> bool:
    """By what it is, not by its name: a folder, or a file that begins as a zip does. A missing file is what it would
    be by its name. PyTorch's zip files are models, which the import then refuses in so many words."""
    if not isinstance(path, str | os.PathLike):
        return False
    path = Path(path)
    if path.is_dir():
        return True
    try:
        with open(path, "rb") as file:
            begins = file.read(4) == b"PK\x03\x04" and path.suffix not in (".pt", ".pth", ".npz", ".keras")
            return begins or path.suffix == SUFFIX
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
