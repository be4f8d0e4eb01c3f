"""Convolution, matrix product and batch normalisation.

Sums of integers are computed in the narrowest dtype in which no partial sum can round: float32, float64 for matrix
products. onnxruntime has no convolution of wider integers; there the input is cut into pieces of fewer bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from xdsl.ir import Operation, SSAValue

from ...ir.errors import UnsupportedError
from ...ir.locations import describe
from ...ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from ...ir.types import element_of, is_float, range_of, shape_of
from .forms import form
from .graph import DOUBLE, EXACT, EXACT_DOUBLE, FLOAT, INT64, Graph, Tensor, largest


@form(ConvOp)
def conv(graph: Graph, op: ConvOp, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    window: dict[str, Any] = {name: list(op.get(name)) for name in ("strides", "pads", "dilations")}
    window["group"] = op.get("group")
    if is_float(op.x):
        return graph.op("Conv", x, w, bias, **window)
    weights, terms = graph.known(op.w), prod(shape_of(op.w)[1:])
    axes = tuple(range(1, len(shape_of(op.w))))
    sums = terms * largest(element_of(op.w)) if weights is None else _most(np.abs(weights.astype(np.int64)).sum(axes))
    most = 0 if bias is None or op.bias is None else largest(element_of(op.bias))
    if sums * largest(element_of(op.x)) + most <= EXACT:
        return graph.op("Conv", x, w, bias, **window)
    total = exact_conv(graph, op, x, w, sums, **window)
    if bias is None:
        return total
    channels = np.array([-1, *[1] * (len(shape_of(op.x)) - 2)], np.int64)
    return graph.op("Add", total, graph.op("Reshape", graph.cast(bias, INT64), channels))


def _most(array: np.ndarray) -> int:
    return int(array.max(initial=0))


def exact_conv(graph: Graph, op: Operation, x: Tensor, w: Tensor, sums: int, **window: Any) -> Tensor:
    """Integers, as int64: x is cut into pieces of so few bits that float32 adds their products exactly.

    sums: a bound on the sum of |w| of an output. Raises UnsupportedError where weights are too large for pieces.
    """
    bits = (EXACT // max(sums, 1)).bit_length() - 1
    if bits < 1 or w.dtype != FLOAT:
        raise UnsupportedError("its sums are too large for an exact convolution in float32", where=describe(op))
    lo, hi = range_of(element_of(op.operands[0]))
    rest, total, factor = graph.cast(x, INT64), None, 1
    while True:
        last = max(abs(lo), abs(hi)) < 1 << bits
        piece = rest if last else graph.op("Mod", rest, np.array(1 << bits))
        part = graph.cast(graph.op("Conv", graph.cast(piece, FLOAT), w, **window), INT64)
        part = graph.op("Mul", part, np.array(factor)) if factor > 1 else part
        total = part if total is None else graph.op("Add", total, part)
        if last:
            return total
        rest = graph.op("Div", graph.op("Sub", rest, piece), np.array(1 << bits))
        lo, hi, factor = lo >> bits, hi >> bits, factor << bits


@form(MatMulOp)
def matmul(graph: Graph, op: MatMulOp, a: Tensor, b: Tensor) -> Tensor:
    if is_float(op.a):
        return graph.op("MatMul", a, b)
    most = _bound(graph, op.a, op.b, shape_of(op.a)[-1])
    dtype = FLOAT if most <= EXACT else DOUBLE if most <= EXACT_DOUBLE else INT64
    product = graph.op("MatMul", graph.cast(a, dtype), graph.cast(b, dtype))
    return graph.cast(product, INT64) if dtype == DOUBLE else product


def _bound(graph: Graph, a: SSAValue, b: SSAValue, terms: int) -> int:
    """No partial sum of an integer product is larger."""
    sides = ((a, b, -1), (b, a, -2 if len(shape_of(b)) > 1 else -1))
    bounds = [terms * largest(element_of(a)) * largest(element_of(b))]
    for matrix, other, axis in sides:
        if (array := graph.known(matrix)) is not None:
            bounds.append(_most(np.abs(array.astype(np.int64)).sum(axis)) * largest(element_of(other)))
    return min(bounds)


@form(BatchNormOp)
def batch_norm(graph: Graph, op: BatchNormOp, x: Tensor, *parameters: Tensor) -> Tensor:
    """x * k + (bias - mean * k), the interpreter's order."""
    shape = np.array([-1, *[1] * (len(shape_of(op.x)) - 2)], np.int64)
    epsilon = np.float32(op.get("epsilon"))
    arrays = [graph.known(v) for v in op.operands[1:]]
    k, offset = _constant_factors(arrays, epsilon) or _factors(graph, parameters, epsilon)
    k, offset = (v.reshape(shape) if isinstance(v, np.ndarray) else graph.op("Reshape", v, shape) for v in (k, offset))
    return graph.op("Add", graph.op("Mul", x, k), offset)


def _constant_factors(
    arrays: Sequence[np.ndarray | None], epsilon: np.float32
) -> tuple[np.ndarray, np.ndarray] | None:
    scale, bias, mean, var = arrays
    if scale is None or bias is None or mean is None or var is None:
        return None
    k = scale / np.sqrt(var + epsilon)
    return k, bias - mean * k


def _factors(graph: Graph, parameters: Sequence[Tensor], epsilon: np.float32) -> tuple[Tensor, Tensor]:
    scale, bias, mean, var = parameters
    k = graph.op("Div", scale, graph.op("Sqrt", graph.op("Add", var, np.array(epsilon))))
    return k, graph.op("Sub", bias, graph.op("Mul", mean, k))
