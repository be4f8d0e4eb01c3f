"""tercet: a compiler from ternary, binary and few-bit neural networks to CPU kernels that avoid multiplications."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .api import (
        CompileOptions,
        LossyOptions,
        Synthesis,
        bench,
        compile,
        cost,
        export,
        import_model,
        inspect,
        load,
        run,
        sensitivity,
        targets,
        verify,
    )
    from .integrations import torch as torch
    from .ir.errors import TercetError

__all__ = [
    "CompileOptions",
    "LossyOptions",
    "Synthesis",
    "TercetError",
    "__version__",
    "bench",
    "compile",
    "cost",
    "export",
    "import_model",
    "inspect",
    "load",
    "run",
    "sensitivity",
    "targets",
    "verify",
]

MODULES = {"torch": ".integrations.torch"}
"""Public modules, which `from tercet import *` leaves out: they need an extra."""


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import tercet` costs nothing.

    Limited to these names: pytest imports this file under the checkout folder's name and asks it for hooks.
    """
    if name in MODULES:
        value = import_module(MODULES[name], __name__)
    elif name in __all__:
        value = getattr(import_module(".ir.errors" if name == "TercetError" else ".api", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *MODULES]
