"""A TVM module as a shared library, and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...ir.host import scratch_folder
from ...ir.program import Program
from .lowering.module import lower
from .package import tvm
from .targets import Target

LIBRARY = "model.so"


@dataclass(frozen=True)
class Module:
    """library: for TVM's virtual machine. script: the module in TVMScript, without constants. version: of TVM."""

    library: bytes
    script: str
    version: str


def build(program: Program, target: Target) -> Module:
    """Of a program at kernel level. Raises IRError for operations without a form."""
    module = lower(program, target)
    executable = compiled(module, target)
    with scratch_folder() as folder:
        path = folder / LIBRARY
        executable.export_library(str(path))
        return Module(path.read_bytes(), module.script(show_meta=False), tvm.__version__)


def compiled(module: Any, target: Target) -> Any:
    """An executable of TVM's virtual machine."""
    return tvm.compile(module, target=tvm.target.Target({"kind": "llvm", "mcpu": target.cpu}))
