"""The C type in which products are summed."""

from __future__ import annotations

from xdsl.dialects.builtin import Float32Type

from .....ir.operation import TensorOperation
from .....ir.types import Element, may_wrap, tensor_of
from ...text import value_c


def accumulator_c(op: TensorOperation) -> str:
    """float; int32_t where the inferred range fits (it holds every partial sum); int64_t; or uint64_t, which wraps
    where the range leaves 64 bits."""
    tensor = tensor_of(op.infer()[0])
    element: Element = tensor.element_type  # type: ignore[assignment]
    if not isinstance(element, Float32Type) and may_wrap(tensor):
        return "uint64_t"
    return value_c(element)
