"""The one entry of all frontends: what a user hands over becomes a `SourceModel`, by a row for each frontend."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..ir.errors import InputError
from ..ir.program import Program

if TYPE_CHECKING:
    from onnx import ModelProto


@runtime_checkable
class SourceModel(Protocol):
    """A model of some format. Opening one reads nothing; the methods raise what `tercet.import_model` raises."""

    def program(
        self, *, name: str | None = None, batch: int | None = None, shapes: Mapping[str, Sequence[int]] | None = None
    ) -> Program:
        """The model as a program. name: absent, the file's or model's own. batch, shapes: see `tercet.import_model`."""
        ...

    def sha256(self) -> str:
        """Of the file or of the model's serialisation, in hexadecimal."""
        ...

    def onnx(self) -> ModelProto | Path | None:
        """The same model where it is ONNX; None where it is not."""
        ...


@dataclass(frozen=True)
class Frontend:
    """suffixes: of the files it reads; none of them: it takes every file that no other one does. classes: full names of
    the classes it takes, names so that nothing is imported to ask. wants: what to hand over, for messages. open: called
    with the model and the keywords that were given with it, see `open_source`. takes: the keywords that it knows."""

    suffixes: tuple[str, ...]
    classes: frozenset[str]
    wants: str
    open: Callable[..., SourceModel]
    takes: frozenset[str] = frozenset()


def _onnx(model: ModelProto | Path) -> SourceModel:
    from .onnx.model import OnnxModel

    return OnnxModel(model)


def _torch(model: Any, **given: Any) -> SourceModel:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError("PyTorch is not installed", hint="pip install 'tercet[torch]'") from error
    from .torch.model import TorchModel

    return TorchModel(model, **given)


FRONTENDS = (
    Frontend((), frozenset(("onnx.onnx_ml_pb2.ModelProto",)), "the path of an .onnx file or an onnx.ModelProto", _onnx),
    Frontend(
        (".pt2",),
        frozenset(("torch.nn.modules.module.Module", "torch.export.exported_program.ExportedProgram")),
        "a torch module with example inputs, a torch ExportedProgram or the path of a .pt2 file",
        _torch,
        frozenset(("example_inputs", "dynamic_shapes")),
    ),
)


def open_source(model: object, **given: Any) -> SourceModel:
    """The model, by the frontend that takes it; one that is open already as it is. given: what belongs to it, such as
    the example inputs of a module; None for what is not there.

    Raises InputError that says what can be handed over, and for what the frontend does not know.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(model, SourceModel) and not given:
        return model
    frontend, model = _frontend(model)
    if unknown := sorted(set(given) - frontend.takes):
        raise InputError(f"{unknown[0]} is not for {frontend.wants}", hint="leave it out")
    return frontend.open(model, **given)


def _frontend(model: object) -> tuple[Frontend, object]:
    """The frontend for a model, and the model, a path as a Path."""
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        row = next((f for f in FRONTENDS if path.suffix in f.suffixes), None)
        return row or next(f for f in FRONTENDS if not f.suffixes), path
    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__]
    for frontend in FRONTENDS:
        if frontend.classes.intersection(kinds):
            return frontend, model
    hint = "pass " + "; ".join(frontend.wants for frontend in FRONTENDS)
    raise InputError(f"expected a model, got {kinds[0]}", hint=hint)
