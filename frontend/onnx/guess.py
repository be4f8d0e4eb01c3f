"""Shapes after a node that is not supported, so that one error can list the unsupported nodes after it as well.

They come from the types that the file declares. ONNX's own shape inference is not used: it is C++ that aborts the whole
process on some malformed nodes.
"""

from __future__ import annotations

from onnx import GraphProto
from xdsl.ir import Block

from ...ir.errors import TercetError
from ...ir.types import tensor_type
from ..ports import Declared
from ..values import Refusal, Value, element_for
from .graph import declared
from .node import Node


class Guesses:
    """Stand-ins of the declared types. The program that uses them is thrown away."""

    def __init__(self, graph: GraphProto, batch: int | None) -> None:
        self._infos = {info.name: info for info in (*graph.value_info, *graph.output)}
        self._batch = batch

    def outputs(self, node: Node) -> list[Value | None]:
        """A stand-in for every output of a node, None where its type is not known."""
        return [self._stand_in(name) for name in node.outputs]

    def _stand_in(self, name: str) -> Value | None:
        if name not in self._infos:
            return None
        try:
            info: Declared = declared(self._infos[name], "value")
            sizes = [self._batch if i == 0 and isinstance(d, str) else d for i, d in enumerate(info.dims or ("",))]
            shape = [d for d in sizes if isinstance(d, int)]
            if len(shape) < len(sizes):
                return None
            block = Block(arg_types=[tensor_type(shape, element_for(info.dtype))])
        except (Refusal, TercetError):
            return None
        return Value(name, info.dtype, tuple(shape), ssa=block.args[0])
