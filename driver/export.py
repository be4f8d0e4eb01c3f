"""A program as an ONNX model, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..backends.onnx.export import DIALECTS, Dialect, export
from ..ir.errors import InputError
from ..ir.program import Program
from ..passes.classify_weights import ClassifyWeights
from ..passes.pipeline import numbered, passes_before_lossy, run_passes
from ..runtime.report.outputs import check_outputs, write_bytes
from .opt import read_program
from .options import DEFAULTS, CompileOptions
from .source import Model, program_of

if TYPE_CHECKING:
    from onnx import ModelProto

LARGEST = 2**31 - 1
"""Bytes that one ONNX file may have: protobuf's limit."""


def export_onnx(
    source: Model | Program,
    output: str | Path | None = None,
    options: CompileOptions = DEFAULTS,
    *,
    after: str | None = None,
    dialect: Dialect = "standard",
) -> ModelProto:
    """See `api.export`."""
    check_outputs(output)
    if isinstance(source, str | Path):
        program = read_program(Path(source), options, after)
    elif after is not None:
        raise InputError("only an artifact has passes to begin after")
    else:
        program = program_of(source, options)
    if dialect not in DIALECTS:
        raise InputError(f"unknown dialect '{dialect}'", hint=f"expected one of {', '.join(DIALECTS)}")
    if DIALECTS[dialect]:
        program = program.clone()
        run_passes(program, numbered([*passes_before_lossy(), ClassifyWeights()]))
    model = export(program, dialect)
    if output is not None:
        if (size := model.ByteSize()) > LARGEST:
            raise InputError(f"the model has {size} bytes, more than an ONNX file may have", where=str(output))
        write_bytes(output, model.SerializeToString(deterministic=True))
    return model
