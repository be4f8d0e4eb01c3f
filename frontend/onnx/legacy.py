"""What opset 6 means otherwise than opset 7: broadcasting, which it asks for by attributes and aligns at an axis.

The converter of the onnx package is not used for it: it aligns an operand of one axis wrongly where the rank of the
other comes from a node, and it is C++ that may abort on a malformed model.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..emitter import Emitter
from ..values import Value
from .node import Node

FIRST_OPSET = 6
_ALIGNED = frozenset(("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"))


def is_legacy(node: Node) -> bool:
    """True for a node whose second operand opset 6 broadcasts in its own way."""
    return node.domain == "" and node.opset < 7 and (node.op_type in _ALIGNED or node.op_type == "PRelu")


def aligned(e: Emitter, node: Node, inputs: Sequence[Value | None]) -> list[Value | None]:
    """The inputs of such a node as opset 7 wants them: axes of size 1 after those of the second operand.

    Raises ModelError where the second operand does not fit.
    """
    a, b = inputs if len(inputs) == 2 else (None, None)
    if a is None or b is None:
        return list(inputs)
    if node.op_type == "PRelu":
        axis = 1 if b.rank == 1 and b.shape != (1,) else a.rank - b.rank
    elif not node.int("broadcast", 0):
        if a.shape != b.shape:
            raise node.error(f"the shapes {list(a.shape)} and {list(b.shape)} differ, and broadcast is not set")
        return [a, b]
    else:
        axis = node.int("axis") if node.has("axis") else a.rank - b.rank
        axis = axis + a.rank if axis < 0 else axis
    part = a.shape[max(axis, 0) : axis + b.rank]
    if axis < 0 or any(size not in (1, want) for size, want in zip(b.shape, part, strict=False)) or len(part) < b.rank:
        raise node.error(f"a tensor of shape {list(b.shape)} does not fit {list(a.shape)} at axis {axis}")
    return [a, e.reshape(b, (*b.shape, *(1,) * (a.rank - axis - b.rank)))]
