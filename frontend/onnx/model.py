"""An ONNX, QDQ or QONNX model as the driver and `verify` see it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from ...ir.program import Program
from .importer import import_model


@dataclass(frozen=True)
class OnnxModel:
    """A `SourceModel`. model: a file or a model in memory."""

    model: ModelProto | Path

    def program(
        self, *, name: str | None = None, batch: int | None = None, shapes: Mapping[str, Sequence[int]] | None = None
    ) -> Program:
        return import_model(self.model, name=name, batch=batch, shapes=shapes)

    def sha256(self) -> str:
        model = self.model
        data = model.read_bytes() if isinstance(model, Path) else model.SerializeToString(deterministic=True)
        return hashlib.sha256(data).hexdigest()

    def onnx(self) -> ModelProto | Path:
        return self.model
