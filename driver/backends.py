"""The backends by name."""

from __future__ import annotations

from ..ir.errors import InputError
from .backend import Backend
from .c_backend import CBackend
from .tvm_backend import TvmBackend

BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (CBackend(), TvmBackend())}


def find_backend(name: str) -> Backend:
    """Raises InputError for unknown names."""
    if name not in BACKENDS:
        raise InputError(f"unknown backend '{name}'", hint=f"one of: {', '.join(BACKENDS)}")
    return BACKENDS[name]
