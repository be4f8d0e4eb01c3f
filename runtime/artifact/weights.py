"""The weights of a step: which of its constants they are, their kind and their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, Operation

from ...ir.program import Program
from ...ir.tn.linear import ConvOp, MatMulOp
from ...ir.types import BIPOLAR, TERNARY, contains, element_of, range_of


def weights_of(ops: Sequence[Operation], program: Program) -> tuple[str, int]:
    """The kind and number of a kernel's weights: the constant operand of its convolution or matrix product."""
    for op in ops:
        if not isinstance(op, ConvOp | MatMulOp):
            continue
        for value in (op.operands[1], op.operands[0]):
            if (array := program.array(value)) is not None:
                axis = 0 if isinstance(op, ConvOp) else array.ndim - 1
                return weight_kind(element_of(value), array, axis), array.size
    return "", 0


def weight_kind(element: Attribute, array: np.ndarray, axis: int) -> str:
    """binary, signed-binary (zeros and one sign in every output channel), ternary, `int lo:hi` or float32.

    Floats that are one magnitude (and 0) in every output channel count as what they are up to that scale. axis: of the
    output channels.
    """
    if not array.size:
        return values_text(element)
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    if array.dtype.kind == "f":
        sizes = np.abs(rows)
        if not ((sizes == 0) | (sizes == sizes.max(axis=1, keepdims=True))).all():
            return values_text(element)
    elif element != BIPOLAR and not contains(TERNARY, element):
        return values_text(element)
    if (rows != 0).all():
        return "binary"
    return "ternary" if ((rows > 0).any(axis=1) & (rows < 0).any(axis=1)).any() else "signed-binary"


def values_text(element: Attribute) -> str:
    try:
        lo, hi = range_of(element)
    except TypeError:
        return "float32"
    return "binary" if element == BIPOLAR else f"int {lo}:{hi}"
