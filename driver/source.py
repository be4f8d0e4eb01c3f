"""What a compilation begins with: the program of a source model, and what identifies the source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..frontend.source_model import SourceModel, open_source
from ..ir.errors import InputError
from ..ir.program import Program
from ..passes.exact_averages import ExactAverages
from .options import CompileOptions

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.export import ExportedProgram
    from torch.nn import Module

Model: TypeAlias = "ModelProto | Module | ExportedProgram | SourceModel | str | Path"
"""What people hand over as a model."""


def with_inputs(model: Model | Program, example_inputs: Any, dynamic_shapes: Any) -> Model | Program:
    """The model with what belongs to a torch module, opened, so that it is exported once however often it is read."""
    if example_inputs is None and dynamic_shapes is None and isinstance(model, Program | str | Path):
        return model
    return open_source(model, example_inputs=example_inputs, dynamic_shapes=dynamic_shapes)


def sorted_out(
    given: Sequence[Any], output: str | Path | None, example_inputs: Any
) -> tuple[str | Path | None, Any]:
    """The output and the example inputs among positional arguments. Raises InputError for what was given twice."""
    for value in given:
        path = isinstance(value, str | Path)
        if (output if path else example_inputs) is not None:
            raise InputError(f"{'the output' if path else 'example inputs'}: given twice", hint="leave one of them out")
        output, example_inputs = (value, example_inputs) if path else (output, value)
    return output, example_inputs


def import_model(
    model: Model,
    example_inputs: Any = None,
    *,
    name: str | None = None,
    batch: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dynamic_shapes: Any = None,
) -> Program:
    """The program of an ONNX, QDQ, QONNX or PyTorch model: what `compile` begins with, and what `verify` compares with.

    It computes what the model means: integers exactly, floats within 1e-5 of the largest magnitude. Averages between
    quantizers are exact where float32 decides ties by accident (`passes/exact_averages.py`). name: of the
    program; absent: the file's or graph's. batch: the size of a symbolic leading axis. Without it, a model whose inputs
    all have one becomes a program for one sample, and its artifact takes any batch. shapes: sizes of inputs by name,
    for axes that the model leaves open; -1 leaves one as it is, and the name '' means the only input. example_inputs,
    dynamic_shapes: of a torch module, see `compile`.

    Raises TercetError: the file cannot be read, batch or shapes do not fit, the model is broken, or it has operators
    that tercet does not compile; that error lists all of them.
    """
    source = open_source(model, example_inputs=example_inputs, dynamic_shapes=dynamic_shapes)
    program = source.program(name=name, batch=batch, shapes=shapes)
    if ExactAverages().apply(program):
        program.drop_unused_weights()
    return program


def program_of(
    model: Model | Program, options: CompileOptions, name: str | None = None
) -> Program:
    """The program to compile: the model itself where it is one. Raises InputError for sizes that it has already."""
    if isinstance(model, Program):
        refuse_sizes(options)
        return model
    return import_model(model, name=name, batch=options.batch, shapes=options.shapes_by_name)


def refuse_sizes(options: CompileOptions, where: str = "") -> None:
    """Raises InputError where a batch or shapes were chosen for what is no model any more."""
    if options.batch is not None or options.shapes:
        hint = "leave them out, or give the model"
        raise InputError("a batch and shapes are for models; IR has them already", where=where, hint=hint)


def source_hash(model: Model | Program) -> str:
    """SHA-256 of the source: the file's bytes, the model's serialisation or the program's text."""
    if isinstance(model, Program):
        return hashlib.sha256(model.text().encode()).hexdigest()
    return open_source(model).sha256()
