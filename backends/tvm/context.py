"""Where the Relax of a network goes while it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.ir import Attribute, SSAValue

from ...ir.operation import TensorOperation
from ...ir.types import element_of, storage_dtype
from .package import Expr, relax
from .targets import Target

OPAQUE = 8
"""TVM's kind of functions that are fused with no others."""


class Context:
    """Where Relax bindings go. target: whose registers schedules fill. name: of the operation at hand, for what is
    emitted for it."""

    def __init__(self, builder: Any, target: Target) -> None:
        self.builder, self.target, self.name = builder, target, ""

    def emit(self, expr: Expr) -> Expr:
        return self.builder.emit(expr, self.name)

    def emit_te(self, function: Callable[..., Any], *operands: Expr) -> Expr:
        """A primitive function of tensor expressions."""
        return self.builder.emit_te(function, *operands, primfunc_name_hint=self.name)

    def constant(self, array: np.ndarray, dtype: str) -> Expr:
        if not array.size:  # TVM writes empty constants, and cannot read them
            return self.emit(relax.op.zeros(list(array.shape), dtype))
        return relax.const(np.array(array, dtype, order="C"), dtype)  # without the dtype 64 bits become 32

    def call(
        self, function: Any, operands: Sequence[Expr], shapes: Sequence[Sequence[int]], dtype: str, what: str
    ) -> Expr:
        """A primitive function with a schedule, which TVM leaves as it is. shapes: of its results; several are a tuple.
        what: its name after the operation's."""
        opaque = function.without_attr("global_symbol").with_attr("op_pattern", OPAQUE)
        place = self.builder.add_func(opaque, f"{self.name}_{what}")
        kinds = [relax.TensorType(list(shape), dtype) for shape in shapes]
        return self.emit(relax.call_tir(place, list(operands), out_ty=kinds if len(kinds) > 1 else kinds[0]))

    def cast(self, x: Expr, dtype: str) -> Expr:
        return x if x.ty.dtype == dtype else self.emit(relax.op.astype(x, dtype))

    def stored(self, x: Expr, op: TensorOperation) -> Expr:
        """A result in the type in which it lies in memory."""
        return self.cast(x, dtype_of(op.results[0]))


def dtype_of(value: SSAValue | Attribute) -> str:
    """In which elements lie in memory: float32, or the smallest integers that hold the range."""
    return storage_dtype(element_of(value)).name
