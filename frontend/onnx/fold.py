"""Evaluates the small constant subgraphs that exporters leave: shapes, bit widths, latent weights.

Only operators of the list below, with the reference implementation of the onnx package; the size of every result is
bounded before it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from onnx import helper

from ...ir.errors import ModelError
from .node import Node
from .tensors import dtype_of
from .values import Value

FOLD_LIMIT = 2**26
"""The largest number of elements that folding one node may produce."""
FOLD_TOTAL = 2**32
"""The largest number of bytes that folding may produce in one model."""

_ELEMENTWISE = (
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Div", "Equal", "Exp", "Floor", "Greater",
    "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow",
    "Reciprocal", "Round", "Sign", "Sqrt", "Sub", "Sum", "Where", "Xor",
)  # fmt: skip
_SHRINKING = (
    "Flatten", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Shape", "Size", "Slice", "Split",
    "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip


def _largest(node: Node, arrays: Sequence[np.ndarray]) -> int:
    return max(a.size for a in arrays)


def _broadcast(node: Node, arrays: Sequence[np.ndarray]) -> int:
    # Clip's bounds and CastLike's target are scalars or do not broadcast; they only make the bound larger.
    return prod(np.broadcast_shapes(*(a.shape for a in arrays)))


def _gather(node: Node, arrays: Sequence[np.ndarray]) -> int:
    data, indices = arrays
    axis = node.int("axis", 0)
    return data.size // max(data.shape[axis], 1) * indices.size


def _range(node: Node, arrays: Sequence[np.ndarray]) -> int:
    start, limit, delta = (float(a.reshape(())) for a in arrays)
    if not delta:
        raise node.error("delta is zero")
    return max(int((limit - start) / delta) + 1, 0)


_SIZES: dict[str, Callable[[Node, Sequence[np.ndarray]], int]] = {
    **dict.fromkeys(_ELEMENTWISE, _broadcast),
    "CastLike": _largest,
    **dict.fromkeys(_SHRINKING, _largest),
    "Concat": lambda node, arrays: sum(a.size for a in arrays),
    "ConstantOfShape": lambda node, arrays: prod(int(d) for d in arrays[0].reshape(-1)),
    "Expand": lambda node, arrays: prod(np.broadcast_shapes(arrays[0].shape, tuple(int(d) for d in arrays[1]))),
    "Gather": _gather,
    "Range": _range,
    "Tile": lambda node, arrays: arrays[0].size * prod(int(d) for d in arrays[1].reshape(-1)),
}


def can_fold(node: Node, values: Sequence[Value | None]) -> bool:
    """True for a listed standard operator with at least one input, all of them constant."""
    listed = node.domain == "" and node.op_type in _SIZES and not node.nested
    return listed and any(values) and all(v is None or v.is_constant for v in values)


def fold(node: Node, values: Sequence[Value | None]) -> list[Value]:
    """The constant results. Raises ModelError where the operator refuses its inputs or the result is too large."""
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Cast":
        dtype_of(node.int("to"), where=node.label)  # text would take many times the memory
    arrays = [v.array for v in values if v is not None and v.array is not None]
    try:
        with np.errstate(all="ignore"):
            size = _SIZES[node.op_type](node, arrays)
            if size > FOLD_LIMIT:
                raise node.error(f"its constant result would have {size} elements", hint=f"the limit is {FOLD_LIMIT}")
            inputs = [name for name in dict.fromkeys(node.inputs) if name]
            outputs = [name for name in node.outputs if name]
            opsets = [helper.make_opsetid("", node.opset)]
            function = helper.make_function("tercet", "fold", inputs, outputs, [node.proto], opsets)
            feeds = {name: v.array for name, v in zip(node.inputs, values, strict=True) if v is not None}
            results = ReferenceEvaluator(function).run(None, feeds, attributes={})
    except ModelError:
        raise
    except Exception as error:  # the reference raises whatever numpy does
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise node.error(f"cannot be computed from its constant inputs: {reason}") from error
    assert isinstance(results, list)
    return [Value.constant(name, np.asarray(result)) for name, result in zip(outputs, results, strict=True)]
