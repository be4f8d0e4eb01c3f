"""QCDQ, the dialect of quantizers that every runtime reads: QuantizeLinear, Clip, DequantizeLinear.

Weights are initializers of the smallest integer type that holds them, 4 or 8 bits, before a DequantizeLinear.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from xdsl.ir import Operation, SSAValue

from ...ir.tn.constant import ConstantOp
from ...ir.tn.quant import DequantizeOp, QuantizeOp
from ...ir.types import element_of, is_float, range_of, shape_of
from .forms import DialectForm, dialect_form
from .graph import FLOAT, Graph, Tensor, holds

QCDQ: dict[type[Operation], DialectForm] = {}
WEIGHTS = {
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
}
FOUR_BITS = 21
"""The first opset whose DequantizeLinear takes 4 bits."""


@dialect_form(QCDQ, QuantizeOp)
def quantize(graph: Graph, op: QuantizeOp, x: Tensor, scale: Tensor) -> Tensor | None:
    lo, hi, placed = op.get("lo"), op.get("hi"), _scale(graph, op.scale, op.x)
    dtype = next((np.dtype(t) for t in (np.int8, np.uint8) if np.iinfo(t).min <= lo and hi <= np.iinfo(t).max), None)
    if dtype is None or placed is None or op.get("mode") != "round" or holds(op.y) != FLOAT:
        return None
    step, axis = placed
    zero = np.zeros(step.shape, dtype)
    narrow = graph.op("QuantizeLinear", x, step, zero, dtype=dtype, axis=axis)
    if (lo, hi) != (np.iinfo(dtype).min, np.iinfo(dtype).max):
        narrow = graph.op("Clip", narrow, np.array(lo, dtype), np.array(hi, dtype))
    wide = graph.cast(narrow, FLOAT)
    graph.quantized[wide.name] = narrow
    return wide


@dialect_form(QCDQ, DequantizeOp)
def dequantize(graph: Graph, op: DequantizeOp, q: Tensor, scale: Tensor) -> Tensor | None:
    placed = _scale(graph, op.scale, op.q)
    narrow = graph.quantized.get(q.name) or _weights(graph, op.q)
    if placed is None or narrow is None:
        return None
    step, axis = placed
    return graph.op("DequantizeLinear", narrow, step, dtype=FLOAT, axis=axis)


def _weights(graph: Graph, value: SSAValue) -> Tensor | None:
    """A constant as small integers, written once."""
    array, name = graph.program.array(value), f"weights of {id(value)}"
    if array is None or not array.size or not isinstance(value.owner, ConstantOp) or is_float(value):
        return None
    if name not in graph.quantized:
        lo, hi = range_of(element_of(value))
        kind = next((kind for kind, (least, most) in WEIGHTS.items() if least <= lo and hi <= most), None)
        if kind is None:
            return None
        if kind in (TensorProto.INT4, TensorProto.UINT4):
            graph.domains[""] = max(graph.domains[""], FOUR_BITS)
        graph.quantized[name] = graph.integers(array, kind, f"{graph.node}.integers")
    return graph.quantized[name]


def _scale(graph: Graph, scale: SSAValue, x: SSAValue) -> tuple[np.ndarray, int] | None:
    """A constant scale as ONNX takes it: one number, or one for each index of an axis, and the axis."""
    array, rank = graph.known(scale), len(shape_of(x))
    if array is None or array.ndim > rank:
        return None
    if array.size == 1:
        return array.reshape(()), 1
    array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    axes = [axis for axis, size in enumerate(array.shape) if size > 1]
    if len(axes) != 1 or array.shape[axes[0]] != shape_of(x)[axes[0]]:
        return None
    return array.reshape(-1), axes[0]

