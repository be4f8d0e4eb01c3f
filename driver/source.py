"""What a compilation begins with: the program of a source model, and what identifies the source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..frontend.source_model import open_source
from ..ir.errors import InputError
from ..ir.program import Program
from ..passes.exact_averages import ExactAverages
from .options import CompileOptions

if TYPE_CHECKING:
    from onnx import ModelProto


def import_model(
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
    program = open_source(model).program(name=name, batch=batch, shapes=shapes)
    if ExactAverages().apply(program):
        program.drop_unused_weights()
    return program


def program_of(
    model: ModelProto | Program | str | Path, options: CompileOptions, name: str | None = None
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


def source_hash(model: ModelProto | Program | str | Path) -> str:
    """SHA-256 of the source: the file's bytes, the model's serialisation or the program's text."""
    if isinstance(model, Program):
        return hashlib.sha256(model.text().encode()).hexdigest()
    return open_source(model).sha256()
