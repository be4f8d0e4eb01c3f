"""A model of PyTorch as the driver and `verify` see it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from ...ir.errors import InputError
from ...ir.program import Program
from .archive import SUFFIX, read_archive
from .exported import decomposed, export_module
from .importer import import_exported


@dataclass(frozen=True)
class TorchModel:
    """A `SourceModel`. model: a module, an exported program, or a .pt2 archive. example_inputs, dynamic_shapes: of a
    module, see `tercet.compile`. Exported once, when it is first asked for."""

    model: torch.nn.Module | ExportedProgram | Path
    example_inputs: Any = None
    dynamic_shapes: Any = None

    @cached_property
    def exported(self) -> ExportedProgram:
        """As torch exported it. Raises TercetError where it cannot be exported or read."""
        if isinstance(self.model, torch.nn.Module):
            return export_module(self.model, self.example_inputs, self.dynamic_shapes)
        if self.example_inputs is not None or self.dynamic_shapes is not None:
            raise InputError(
                "example inputs and dynamic shapes are for modules, not for what is exported already",
                hint="leave them out",
            )
        return read_archive(self.model) if isinstance(self.model, Path) else self.model

    def program(
        self, *, name: str | None = None, batch: int | None = None, shapes: Mapping[str, Sequence[int]] | None = None
    ) -> Program:
        return import_exported(decomposed(self.exported), name=name or self._name, batch=batch, shapes=shapes)

    @property
    def _name(self) -> str:
        if isinstance(self.model, Path):
            return self.model.name.removesuffix(SUFFIX)
        return "model" if isinstance(self.model, ExportedProgram) else type(self.model).__name__

    def sha256(self) -> str:
        """Of the file, or of the graph and the constants."""
        if isinstance(self.model, Path):
            return hashlib.sha256(self.model.read_bytes()).hexdigest()
        digest = hashlib.sha256(str(self.exported.graph).encode())
        for name, tensor in sorted({**self.exported.state_dict, **self.exported.constants}.items()):
            digest.update(name.encode())
            if isinstance(tensor, torch.Tensor):
                _digest(digest, tensor.detach())
        return digest.hexdigest()

    def onnx(self) -> None:
        return None


def _digest(digest: hashlib._Hash, tensor: torch.Tensor) -> None:
    """The bytes of a tensor, or of the parts of a subclass that wraps others: quantized weights and their scales."""
    if is_traceable_wrapper_subclass(tensor):
        names, context = tensor.__tensor_flatten__()
        digest.update(repr((type(tensor).__name__, names, context)).encode())
        for name in names:
            _digest(digest, getattr(tensor, name))
    else:
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
