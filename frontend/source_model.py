"""The one entry of all frontends: what a user hands over becomes a `SourceModel`, by a row for each frontend."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..ir.errors import InputError
from ..ir.program import Program

if TYPE_CHECKING:
    from onnx import ModelProto


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
    the classes it takes, names so that nothing is imported to ask. wants: what to hand over, for messages."""

    suffixes: tuple[str, ...]
    classes: frozenset[str]
    wants: str
    open: Callable[[Any], SourceModel]


def _onnx(model: ModelProto | Path) -> SourceModel:
    from .onnx.model import OnnxModel

    return OnnxModel(model)


FRONTENDS = (
    Frontend((), frozenset(("onnx.onnx_ml_pb2.ModelProto",)), "the path of an .onnx file or an onnx.ModelProto", _onnx),
)
EXPORT = {
    "torch.nn.modules.module.Module": (
        "export it first: torch.onnx.export(model.eval(), (example,), 'model.onnx'); then pass that path"
    )
}
"""Class -> how to make a model that a frontend takes of one that none does."""


def open_source(model: object) -> SourceModel:
    """The model, by the frontend that takes it. Raises InputError that says how to make one of what people pass."""
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        row = next((f for f in FRONTENDS if path.suffix in f.suffixes), None) or next(
            f for f in FRONTENDS if not f.suffixes
        )
        return row.open(path)
    kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__]
    for frontend in FRONTENDS:
        if frontend.classes.intersection(kinds):
            return frontend.open(model)
    hints = [EXPORT[kind] for kind in kinds if kind in EXPORT]
    hint = hints[0] if hints else "pass " + "; ".join(frontend.wants for frontend in FRONTENDS)
    raise InputError(f"expected an ONNX model, got {kinds[0]}", hint=hint)
