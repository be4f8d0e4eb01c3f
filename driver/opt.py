"""Passes one by one: from a model or the text of its IR to the IR that they leave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..ir.errors import InputError, IRError
from ..ir.program import TEXT_FILE, WEIGHTS_FILE, Program
from ..ir.weights import WeightStore
from ..passes.pipeline import check_properties, numbered, run_passes
from ..passes.pipeline_text import parse_pipeline
from ..runtime.artifact.artifact import Artifact
from ..runtime.artifact.manifest import MANIFEST
from ..runtime.artifact.stored_ir import Stage, read_stages, stage_programs, stored_scripts
from ..runtime.report.inspection import check_operations, find_stages
from .artifacts import is_artifact
from .backend import only_variant
from .backends import find_backend
from .compile import stages_of
from .ir_dump import IMPORT_LABEL, IRDump, save_program
from .lossy import lossy_pass
from .options import DEFAULTS, CompileOptions
from .source import program_of, refuse_sizes

IR_SUFFIX = ".mlir"


@np.errstate(all="ignore")  # constants may overflow as they do in float32
def run_opt(
    source: str | Path | Program,
    passes: str | None = None,
    options: CompileOptions = DEFAULTS,
    *,
    after: str | None = None,
    output: str | Path | None = None,
    dump_ir: str | Path | None = None,
    verify_passes: bool = False,
) -> Program:
    """See `api.opt`."""
    variant = only_variant(find_backend(options.backend).open(options.lowering, build=False))
    if passes is None:
        chosen = stages_of(variant, lossy_pass(options.lossy))
    else:
        chosen = numbered(parse_pipeline(passes, variant.known_passes()))
    if isinstance(source, Program):
        program = program_of(source, options).clone()
    else:
        program = read_program(Path(source), options, after)
    dump = IRDump(dump_ir)
    dump.write(IMPORT_LABEL, program)
    for stage in chosen:
        try:
            check_properties(program, stage.step.requires, f"pass '{stage.name}' requires")
        except IRError as error:
            hint = "without -p PASSES all passes run; name those that are to" if passes is None else ""
            raise IRError(error.what, where=error.where, hint=hint) from error
        run_passes(program, [stage], lambda label, at, _: dump.write(label, at), contracts=verify_passes)
    if output is not None:
        save_program(program, Path(output))
    return program


def read_program(path: Path, options: CompileOptions = DEFAULTS, after: str | None = None) -> Program:
    """The program of a model, an .mlir file, a folder of `--dump-ir` or, after a pass, of an artifact: for the target
    of the options where it has that, else for its best. Raises TercetError where it cannot be read."""
    if (path / MANIFEST).exists() if path.is_dir() else is_artifact(path):
        refuse_sizes(options, str(path))
        artifact = Artifact.open(path)
        stages = read_stages(artifact, options.target if options.target in artifact.manifest.target_names else None)
        return stage_programs(artifact, [stages[0] if after is None else _stage_after(artifact, stages, after)])[0]
    if after is not None:
        raise InputError("only an artifact has passes to begin after", where=str(path))
    if path.is_dir():
        path = path / TEXT_FILE
    if path.suffix != IR_SUFFIX:
        return program_of(path, options)
    refuse_sizes(options, str(path))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the IR: {error}", where=str(path)) from error
    beside = path.with_name(WEIGHTS_FILE)
    program = Program.parse(text, WeightStore.open(beside) if beside.exists() else WeightStore(), origin=str(path))
    program.verify()
    return program


def _stage_after(artifact: Artifact, stages: Sequence[Stage], name: str) -> Stage:
    """Raises InputError for what is none, and for those that are no IR of tercet's."""
    scripts = [label for label, _ in stored_scripts(artifact)]
    labels = [*(stage.label for stage in stages), *scripts]
    found = find_stages(labels, name)[-1]
    check_operations(labels[found], scripts)
    return stages[found]
