"""The public functions of tercet. The command line is a thin layer over them; each verb has its function here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from .backends.ternary_logic.yosys.options import Synthesis
from .driver.artifacts import artifact_target, is_artifact
from .driver.backend import only_variant
from .driver.backends import find_backend
from .driver.compile import Compiled, StageObserver, compile_model, labels_of
from .driver.lossy import Calibration, calibration_data
from .driver.lowered import lowered, scripts_of
from .driver.opt import run_opt
from .driver.options import Choices, CompileOptions
from .driver.source import Model, import_model, program_of, sorted_out, with_inputs
from .driver.targets import TargetStatus, target_statuses
from .ir.errors import InputError
from .ir.losses import LayerSensitivity
from .ir.program import Program
from .passes.lossy.options import LossyOptions
from .passes.lossy.sensitivity import sensitivity as measure_sensitivity
from .passes.lossy.ternarize import Ternarize
from .passes.pipeline import passes_before_lossy

if TYPE_CHECKING:
    from onnx import ModelProto

    from .backends.ternary_logic.report import CostReport
    from .driver.export import Dialect
    from .ir.repetition import LayerRepetition
    from .runtime.check.bench_report import BenchReport
    from .runtime.check.verify.result import Verification
    from .runtime.load.loader import LoadedModel
    from .runtime.report.inspection import Inspection

__all__ = [
    "CompileOptions", "Compiled", "LayerSensitivity", "LossyOptions", "Synthesis", "TargetStatus",
    "bench", "compile", "cost", "export", "import_model", "inspect", "load", "opt", "repetition", "run", "sensitivity",
    "targets", "verify",
]  # fmt: skip

_quiet = np.errstate(all="ignore")
"""Values may overflow, or be no numbers, as they do in float32: numpy need not warn of it."""


def compile(
    model: Model | Program,
    *given: str | Path | Sequence[Any] | Mapping[str, Any],
    output: str | Path | None = None,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    options: CompileOptions | None = None,
    name: str | None = None,
    jobs: int | None = None,
    as_directory: bool = False,
    calibrate: Calibration | None = None,
    dump_ir: str | Path | None = None,
    on_stage: StageObserver | None = None,
    **choices: Unpack[Choices],
) -> Compiled:
    """Compiles a model to an artifact.

    model: the path of an .onnx or .pt2 file, an onnx.ModelProto, a torch module in evaluation mode, a torch
        ExportedProgram, or a program.
    given: the output, the example inputs or both, as in compile("model.onnx", "model.tercet") and
        compile(module, (torch.zeros(1, 3, 32, 32),)).
    output: path of the artifact (default: NAME.tercet in the working directory).
    example_inputs: of a torch module: its positional arguments, or keywords by name, or one tensor. Their shapes and
        dtypes count, not their values.
    dynamic_shapes: of a torch module, as for torch.export.export; where the leading axis of all inputs is dynamic, the
        artifact takes any batch.
    options, choices: how to compile. Choices are fields of CompileOptions as keywords, such as `target="generic"`, and
        override those of `options`. `weights` is a LossyOptions or the name of a method, `keep` names layers to leave
        unchanged.
    name: of the model and its C functions (default: the file's name).
    jobs: C compilers at a time (default: one per CPU).
    as_directory: write the artifact as a folder instead of a file.
    calibrate: data for lossy options: an .npz file, an array of samples, or arrays by input name.
    dump_ir: a folder to write the IR and its weights to after every pass.
    on_stage: called after every stage with its label, the program (None once it is C) and the seconds it took.

    Raises TercetError: for the model, the options or the C compiler. Nothing is written unless everything succeeded.
    """
    output, example_inputs = sorted_out(given, output, example_inputs)
    source = with_inputs(model, example_inputs, dynamic_shapes)
    return compile_model(
        source, output, CompileOptions.of(options, choices), name=name, jobs=jobs, as_directory=as_directory,
        calibrate=calibrate, dump_ir=dump_ir, on_stage=on_stage,
    )  # fmt: skip


def load(path: str | Path, *, threads: int = 1) -> LoadedModel:
    """Loads an artifact, to run it on `threads` threads, including the calling one, or on fewer if few CPUs are usable.

    Hashes and CPU are checked before any of its code is mapped. Close the model, or use it in a `with` block.
    Raises TercetError for an artifact that is damaged or not for this machine, and for an invalid number of threads.
    """
    from .runtime.load.loader import load as load_artifact

    return load_artifact(path, threads=threads)


def run(artifact: str | Path, inputs: Any, *, threads: int = 1) -> dict[str, np.ndarray]:
    """Runs an artifact once. inputs: arrays by name, or in order, or one array, in exactly the dtypes and shapes of the
    model; in a batched model the leading axis may have any size. Returns NumPy arrays by output name."""
    with load(artifact, threads=threads) as model:
        return model.run(inputs)


@_quiet
def inspect(
    path: Model,
    example_inputs: Any = None,
    *,
    dynamic_shapes: Any = None,
    options: CompileOptions | None = None,
    **choices: Unpack[Choices],
) -> Inspection:
    """What an artifact holds, or what a source model becomes: its layers, and the IR after every pass.

    path: of an artifact or a model, or a model itself.
    example_inputs, dynamic_shapes: of a torch module, see `compile`.
    Executes nothing from the file. options, choices: as for `compile`; for models only, but for `target`, which chooses
    one of an artifact's (default: the best).
    """
    from .runtime.report.inspection import inspect_artifact, inspect_program

    chosen = CompileOptions.of(options, choices)
    if is_artifact(path):
        return inspect_artifact(path, artifact_target(chosen))
    texts: list[tuple[str, str]] = []

    def observe(label: str, at: Program, changed: bool) -> None:
        texts.append((label, at.text() if changed else texts[-1][1]))

    source = with_inputs(path, example_inputs, dynamic_shapes)
    program, variant = lowered(source, chosen, observe)
    scripts = scripts_of(program, variant, chosen)
    return inspect_program(program, texts, variant.target, variant.candidates(program), scripts)


def opt(
    source: str | Path | Program,
    passes: str | None = None,
    *,
    after: str | None = None,
    output: str | Path | None = None,
    dump_ir: str | Path | None = None,
    verify_passes: bool = False,
    options: CompileOptions | None = None,
    **choices: Unpack[Choices],
) -> Program:
    """Runs passes on a program and returns the result.

    source: a model, an .mlir file (its large constants in weights.npz beside it), a folder of `--dump-ir`, an artifact,
        or a program, which stays as it is.
    passes: a pipeline as text, see docs/passes.md (default: all passes of `compile`).
    after: for an artifact, the pass to begin after (default: the import).
    output: a folder to write the result to. dump_ir: a folder to write the IR to after every pass.
    verify_passes: also check what passes ensure.
    options, choices: as for `compile`.

    Raises TercetError: for the source, the pipeline, and a pass that lacks what it requires.
    """
    return run_opt(
        source, passes, CompileOptions.of(options, choices), after=after, output=output, dump_ir=dump_ir,
        verify_passes=verify_passes,
    )  # fmt: skip


def export(
    source: Model | Program,
    output: str | Path | None = None,
    *,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    after: str | None = None,
    dialect: Dialect = "standard",
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> ModelProto:
    """A program as an ONNX model: integers exactly, floats as float32 computes them.

    source: a model, a program, or IR as for `opt`: an .mlir file, a folder of `--dump-ir`, an artifact.
    output: the file that gets the model.
    after: of an artifact, the pass whose IR is exported (default: the import).
    dialect: how quantizers are written. standard: as arithmetic. qcdq: as QuantizeLinear, Clip and DequantizeLinear,
        weights of few values as integers of 4 or 8 bits. qonnx: as Quant, BipolarQuant and MultiThreshold.
    batch, shapes: of a model, as for `import_model`. example_inputs, dynamic_shapes: of a torch module, see `compile`.

    Raises TercetError: for the source, an operation that has no form in ONNX, and a file that cannot be written.
    """
    from .driver.export import export_onnx

    chosen = CompileOptions.of(None, {"batch": batch, "shapes": shapes or {}})
    model = with_inputs(source, example_inputs, dynamic_shapes)
    return export_onnx(model, output, chosen, after=after, dialect=dialect)


@_quiet
def repetition(
    path: str | Path,
    *,
    budget: float = 1.0,
    bench: str | Path | None = None,
    options: CompileOptions | None = None,
    on_layer: Callable[[str], None] = lambda name: None,
    **choices: Unpack[Choices],
) -> list[LayerRepetition]:
    """Density, repetition and additions of every layer with weights of {-1, 0, 1}. See docs/sum-merge.md.

    path: a model or an artifact; nothing in it is executed.
    budget: CPU seconds of the search for each layer and coding.
    bench: JSON of `bench` with `per_layer`, for measured times.
    options, choices: as for `inspect`.
    """
    from .driver.repetition import layer_repetition

    return layer_repetition(path, budget, bench, CompileOptions.of(options, choices), on_layer)


@_quiet
def sensitivity(
    model: Model | Program,
    calibrate: Calibration,
    *,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    options: CompileOptions | None = None,
    on_progress: Callable[[str], None] = lambda what: None,
    **choices: Unpack[Choices],
) -> list[LayerSensitivity]:
    """Which layers of a float model to leave unchanged: what the network loses when only one layer is changed, the most
    sensitive layer first.

    model, calibrate, example_inputs, dynamic_shapes, options, choices: as for `compile`, but `weights` are ternary by
        default, and the first and last layers are tried, too.
    """
    if "weights" not in choices and not (options and options.lossy.lossy):
        choices["weights"] = "ternary"
    chosen = CompileOptions.of(options, choices)
    if not chosen.lossy.lossy:
        raise InputError("nothing is changed, so nothing can be measured", hint="say which --weights to make")
    program = program_of(with_inputs(model, example_inputs, dynamic_shapes), chosen).clone()
    for step in passes_before_lossy():
        step.apply(program)
    return measure_sensitivity(program, chosen.lossy, calibration_data(calibrate)(program), on_progress)


@_quiet
def cost(
    model: Model | Program,
    *,
    libraries: Sequence[str | Path] | None = None,
    codings: Sequence[str] | None = None,
    calibrate: Calibration | None = None,
    shared: bool = True,
    lanes: int = 0,
    html: str | Path | None = None,
    verilog: str | Path | None = None,
    inputs: Calibration | None = None,
    options: CompileOptions | None = None,
    on_operation: Callable[[str], None] = lambda name: None,
    synthesis: Synthesis | None = None,
    **choices: Unpack[Choices],
) -> CostReport:
    """What a network costs in ternary and in binary gates, operation by operation, every pixel with gates of its own.
    docs/ternary-logic.md says what is counted.

    libraries: of cells, by name or as .toml files (default: one ternary and one binary). codings: how integers lie on
        wires, `ternary`, `{neg, pos}` or `two's complement` (default: all that go with a library).
    shared: whether outputs share sums; it needs a C compiler. lanes: products of a step of arrays; 0 for none.
    calibrate, options, choices: as for `compile`; those of kernels do nothing. synthesis: what Yosys is to make of it.
    html: a file for the report as a page. verilog: a folder for tiles of operations as Verilog and BLIF. inputs: as
        calibrate; samples from which changes of wires are counted, and vectors for benches are taken.

    Raises TercetError: for the model, a library, inputs, what cannot be written, and a model without any gates.
    """
    from .driver.cost import network_cost

    given = CompileOptions.of(options, choices)
    return network_cost(
        model, given, libraries=libraries, codings=codings, calibrate=calibrate, shared=shared, lanes=lanes, html=html,
        verilog=verilog, inputs=inputs, synthesis=synthesis, on_operation=on_operation,
    )  # fmt: skip


@_quiet
def verify(
    artifact: str | Path,
    against: Model,
    example_inputs: Any = None,
    *,
    dynamic_shapes: Any = None,
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
    the model as it is (only onnxruntime where the import fails), and expected results where `inputs` has them.

    example_inputs, dynamic_shapes: of a torch module, see `compile`.
    inputs: an .npz file with arrays named like inputs and outputs, see docs/cli.md (default: random inputs).
    samples: how many (default: 8 random ones, or the whole file).
    per_layer: also compare every layer.
    rtol: tolerance for floats, relative to the tensor's largest magnitude; integers must be equal.
    max_mismatch: the share of elements in which both model and artifact may differ from the expected results.
    bisect: name in the notes the passes after which the interpreter's result differs from before.
    on_progress: told what is being done.

    A difference is not an error: see `Verification.ok`.
    """
    from .driver.verification import verify_artifact

    source = with_inputs(against, example_inputs, dynamic_shapes)
    assert not isinstance(source, Program)
    return verify_artifact(
        artifact, source, inputs=inputs, samples=samples, per_layer=per_layer, threads=threads, rtol=rtol,
        max_mismatch=max_mismatch, bisect=bisect, on_progress=on_progress,
    )  # fmt: skip


@_quiet
def bench(
    path: Model,
    *,
    example_inputs: Any = None,
    dynamic_shapes: Any = None,
    source: Model | None = None,
    against: Sequence[str] | None = None,
    threads: int = 1,
    samples: int = 1,
    repeats: int = 25,
    per_layer: bool = False,
    options: CompileOptions | None = None,
    on_progress: Callable[[str], None] | None = None,
    **choices: Unpack[Choices],
) -> BenchReport:
    """Times an artifact, or a model, which is compiled first, and its peers, alternately. See docs/cli.md.

    example_inputs, dynamic_shapes: of a torch module, see `compile`.
    source: the model that the peers run; for a model it is the model itself.
    against: `onnxruntime` (default, where there is a source), and TVM on the model as TVM itself imports it: `tvm`, or
        `tvm-tuned`, which is tuned first.
    samples: per call. repeats: rounds.
    options, choices: as for `compile`; only for a model.
    """
    from .driver.bench import run_bench

    return run_bench(
        with_inputs(path, example_inputs, dynamic_shapes), CompileOptions.of(options, choices), source=source,
        against=against, threads=threads, samples=samples, repeats=repeats, per_layer=per_layer,
        on_progress=on_progress,
    )  # fmt: skip


def targets() -> list[TargetStatus]:
    """Every target, whether its code runs on this machine, and the C compiler for it."""
    return target_statuses()


def default_candidates(backend: str) -> int:
    """Of each layer, which tuning with a backend measures where a user does not say how many."""
    return find_backend(backend).candidates


def stage_labels(*, lossy: bool = False, backend: str = "c", tuned: bool = False) -> list[str]:
    """The labels of the stages of `compile`, in order: `00-import`, one for each pass, then those that the backend has
    after them. lossy: with the pass that changes weights. tuned: with tuning."""
    options = CompileOptions(backend, target="generic")
    variant = only_variant(find_backend(backend).open(options.lowering, build=False))
    return labels_of(variant, Ternarize(LossyOptions("ternary")) if lossy else None, tuned=tuned)
