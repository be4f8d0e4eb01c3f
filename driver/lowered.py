"""A model's program after all passes of a compilation."""

from __future__ import annotations

from ..ir.errors import IRError
from ..ir.program import Program
from ..passes.pipeline import Observer, run_passes
from .backend import Variant, only_variant
from .backends import find_backend
from .compile import labelled, stages_of
from .ir_dump import IMPORT_LABEL
from .lossy import lossy_pass
from .options import CompileOptions
from .source import Model, program_of


def lowered(
    model: Model | Program, options: CompileOptions, observe: Observer | None = None
) -> tuple[Program, Variant]:
    """The program of a model after all passes, and whose passes they are."""
    variant = only_variant(find_backend(options.backend).open(options.lowering, build=False))
    program = program_of(model, options)
    if observe is not None:
        observe(IMPORT_LABEL, program, True)
    run_passes(program, stages_of(variant, lossy_pass(options.lossy)), observe)
    return program, variant


def scripts_of(program: Program, variant: Variant, options: CompileOptions) -> list[tuple[str, str]]:
    """Label and text of the stages after all passes; none where the backend cannot compile the program."""
    try:
        scripts = variant.scripts(program)
    except IRError:
        return []
    return list(labelled(scripts, stages_of(variant, lossy_pass(options.lossy))).items())
