"""The size of an open batch: a program computes one sample, so shapes may depend on it, and numbers may not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.fx import Node

from ..values import Refusal, Value

FIXED = "import with batch=N to compile for a batch of fixed size"
_SHAPES = frozenset(("size", "sizes", "shape", "repeats", "dims", "N"))
"""Arguments of operators that say the shape of a result."""


class OpenBatch:
    """leading: the sizes of the inputs' first axes, as torch traced them."""

    def __init__(self, leading: Sequence[Any]) -> None:
        self._leading = {str(size) for size in leading}
        self._symbols = {name for size in self._leading for name in _names(size)}

    def check_sizes(self, node: Node) -> None:
        """Raises Refusal where an operator takes the batch's size as a number."""
        for name, argument in _named_arguments(node):
            if name not in _SHAPES and any(self._depends(a) for a in _traced(argument) if not _is_tensor(a)):
                raise Refusal(f"it computes with the size of the batch; {FIXED}")

    def check_constants(self, node: Node, constants: Sequence[Node]) -> None:
        """Raises Refusal where rows of a constant, one for each sample, become something else than rows."""
        results = [a for a in _traced(node) if _is_tensor(a)]
        rows = any(self._has_rows(a) for a in _traced(constants) if _is_tensor(a))
        if rows and not all(map(self._has_rows, results)):
            raise Refusal(f"its result does not keep the batch as leading axis; {FIXED}")

    def check_result(self, value: Value, meant: torch.Tensor) -> None:
        """Raises Refusal for a result that mixes samples: the batch is not its leading axis, or not that alone."""
        _, *others = map(str, meant.shape) if meant.ndim else ("",)
        rows = self._has_rows(meant)
        if (not rows and (value.per_sample or any(map(self._depends, meant.shape)))) or any(map(self._depends, others)):
            raise Refusal(f"it mixes the samples of the batch; {FIXED}")

    def _has_rows(self, tensor: torch.Tensor) -> bool:
        return tensor.ndim > 0 and str(tensor.shape[0]) in self._leading

    def _depends(self, size: Any) -> bool:
        return not self._symbols.isdisjoint(_names(str(size)))


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _names(size: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", size)


def _named_arguments(node: Node) -> Iterator[tuple[str, Any]]:
    """The arguments of an operator, by the names of its schema."""
    parameters = node.target._schema.arguments  # pyright: ignore[reportAttributeAccessIssue, reportFunctionMemberAccess]
    yield from zip((parameter.name for parameter in parameters), node.args, strict=False)
    yield from node.kwargs.items()


def _traced(argument: Any) -> list[Any]:
    """What torch traced for the nodes in an argument: tensors and sizes."""
    found = [argument.meta.get("val")] if isinstance(argument, Node) else argument
    if not isinstance(found, list | tuple):
        return []
    return [a for part in found for a in (_traced(part) if isinstance(part, Node | list | tuple) else [part])]
