"""From a module to an exported program, and from that to the operators of the table."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import ExportedProgram

from ...ir.errors import InputError, ModelError
from . import ops  # noqa: F401  (fills the table)
from .registry import find

_ALONE = ("sym_size", "sym_constrain_range", "_assert")
"""Beginnings of operators that compute no tensors."""


def export_module(module: torch.nn.Module, example_inputs: Any, dynamic_shapes: Any) -> ExportedProgram:
    """The module as torch.export sees it; the module stays as it is.

    example_inputs: a tensor, the positional arguments of forward, or its keywords by name.
    dynamic_shapes: as for torch.export.export.

    Raises InputError for a module in training mode and for inputs that it does not take, ModelError where torch cannot
    export it.
    """
    training = next((path for path, part in module.named_modules() if part.training), None)
    if training is not None and not _is_traced(module):
        what = "the module is in training mode" if not training else f"submodule '{training}' is in training mode"
        raise InputError(what, hint="call module.eval() first: dropout and batch norm work otherwise in training")
    if example_inputs is None:
        raise InputError(
            "a torch module needs example inputs", hint="pass them after the module, as in (torch.zeros(1, 3, 32, 32),)"
        )
    args, kwargs = _arguments(example_inputs)
    try:
        with _quiet(), torch.enable_grad():  # without gradients some modules take paths of their own
            return torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=False)
    except Exception as error:  # whatever the user's forward raises, and torch's own errors
        what = f"torch.export cannot export the module: {_first_line(error)}"
        raise ModelError(what, where=type(module).__name__, hint=_HINT) from error


_HINT = "check the example inputs, and that torch.export.export(module, example_inputs) works"
EXPORT_AGAIN = "save it again: torch.export.save(torch.export.export(module.eval(), example_inputs), 'model.pt2')"


def _is_traced(module: torch.nn.Module) -> bool:
    """True for a graph of operators, as PT2E gives: they were chosen when it was traced, whatever mode it is in."""
    if not isinstance(module, torch.fx.GraphModule):
        return False
    return all(node.op != "call_module" or node.target == "_guards_fn" for node in module.graph.nodes)


def _arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, Mapping):
        return (), {str(name): value for name, value in example_inputs.items()}
    if isinstance(example_inputs, Sequence) and not isinstance(example_inputs, str | bytes):
        return tuple(example_inputs), {}
    raise InputError(
        f"example inputs: expected a tensor, a tuple or a dict of arguments, got {type(example_inputs).__name__}",
        hint="pass what you would call the module with, as in (torch.zeros(1, 3, 32, 32),)",
    )


def decomposed(exported: ExportedProgram) -> ExportedProgram:
    """The same program in operators that the table has, as far as torch can take the others apart."""
    targets = [node.target for node in exported.graph.nodes if node.op in ("call_function", "get_attr")]
    if not any(_unknown(target) for target in targets):
        return exported
    table = torch.export.default_decompositions()
    for op in [op for op in table if isinstance(op, torch._ops.OpOverload) and find(str(op)) is not None]:
        table.pop(op)
    try:
        with _quiet():
            return exported.run_decompositions(table)
    except Exception as error:  # torch raises several types of its own
        raise ModelError(f"torch cannot decompose the exported program: {_first_line(error)}") from error


def _unknown(target: Any) -> bool:
    """True for an operator that is not in the table or writes to an argument, as with `out=`, and for nested graphs."""
    if isinstance(target, torch._ops.OpOverload):
        known = find(str(target)) is not None and not target._schema.is_mutable
        return not known and not target._opname.startswith(_ALONE)
    return isinstance(target, torch._ops.HigherOrderOperator)


def _first_line(error: Exception) -> str:
    """With what follows of a list of constraints, which says the sizes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Constraints violated"):
        lines[:1] = [" ".join(line.removeprefix("- ") for line in lines[1:] if line.startswith("- ")) or lines[0]]
    return (lines[0] if lines else type(error).__name__)[:300]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own warnings: what matters is raised."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
