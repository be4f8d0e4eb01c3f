"""Shapes behind a node that is not supported, so that one error can list the unsupported nodes after it as well."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper, shape_inference
from xdsl.ir import Block

from ...ir.types import tensor_type
from .node import Node
from .values import Refusal, Value, element_of_onnx


class Guesses:
    """Stand-ins of the type that ONNX shape inference gives. The program that uses them is thrown away."""

    def __init__(self, model: ModelProto, batch: int | None) -> None:
        self._model, self._batch = model, batch
        self._types: dict[str, tuple[np.dtype, tuple[int, ...]]] | None = None

    def outputs(self, node: Node) -> list[Value | None]:
        """A stand-in for every output of a node, None where its type is not known."""
        if self._types is None:
            self._types = self._inferred()
        return [self._stand_in(name) for name in node.outputs]

    def _stand_in(self, name: str) -> Value | None:
        assert self._types is not None
        if name not in self._types:
            return None
        dtype, shape = self._types[name]
        try:
            block = Block(arg_types=[tensor_type(shape, element_of_onnx(dtype))])
        except Refusal:
            return None
        return Value(name, dtype, shape, ssa=block.args[0])

    def _inferred(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        try:
            model = shape_inference.infer_shapes(self._model)
        except Exception:  # best effort on an untrusted model; without it the error lists fewer nodes
            return {}
        types: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        for info in (*model.graph.value_info, *model.graph.output):
            tensor = info.type.tensor_type
            dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
            if dims and dims[0] is None:
                dims[0] = self._batch
            known = [d for d in dims if d is not None]
            if tensor.HasField("shape") and len(known) == len(dims) and tensor.elem_type:
                types[info.name] = (np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)), tuple(known))
        return types
