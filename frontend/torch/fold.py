"""Computes what depends on constants alone: scales, masks, quantized latent weights. torch itself does, so that the
result is the model's own; the size of every result is bounded before it is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map

from ..values import Value
from .dtypes import to_array, to_tensor
from .node import TorchNode
from .registry import KEPT, find

FOLD_LIMIT = 2**28
"""The largest number of bytes that folding one node may produce."""
FOLD_TOTAL = 2**32
"""The same for one model."""


def can_fold(target: object) -> bool:
    """True for an operator without side effects, whose result depends on its arguments alone."""
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    key, tags = str(target), target.tags
    if torch.Tag.nondeterministic_seeded in tags or key.rpartition(".")[0] in KEPT:
        return False
    return find(key) is not None or torch.Tag.core in tags or torch.Tag.pointwise in tags


class Folder:
    """Folds nodes of one model."""

    def __init__(self) -> None:
        self._bytes = 0
        self._fake = FakeTensorMode(allow_non_fake_inputs=False)

    def fold(self, node: TorchNode, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Value | list[Value]:
        """The constant results; Values among the arguments are constants. Raises ModelError where torch refuses the
        arguments or results are too large, Refusal for results of a dtype that tercet does not compile."""
        given = tree_map(_as_tensor, (tuple(args), dict(kwargs)))
        function: Callable[..., Any] = node.fx.target  # pyright: ignore[reportAssignmentType]
        try:
            with self._fake, torch.no_grad():
                fake = tree_map(lambda a: self._fake.from_tensor(a) if isinstance(a, torch.Tensor) else a, given)
                made = tree_leaves(function(*fake[0], **fake[1]))
            size = sum(t.numel() * t.element_size() for t in made if isinstance(t, torch.Tensor))
            self._bytes += size
            if size > FOLD_LIMIT or self._bytes > FOLD_TOTAL:
                raise node.error(f"its constant result has {size} bytes, too many", hint=f"the limit is {FOLD_LIMIT}")
            with torch.no_grad():
                result = function(*given[0], **given[1])
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError, OverflowError) as error:
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise node.error(f"cannot be computed from its constant arguments: {reason}") from error
        if isinstance(result, torch.Tensor):
            return Value.constant(node.name, to_array(result))
        return [Value.constant(f"{node.name}.{i}", to_array(part)) for i, part in enumerate(result)]


def _as_tensor(argument: Any) -> Any:
    return to_tensor(argument.array) if isinstance(argument, Value) and argument.array is not None else argument
