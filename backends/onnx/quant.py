"""The bridge between floats and integers."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from ...ir.errors import UnsupportedError
from ...ir.locations import describe
from ...ir.tn.quant import DequantizeOp, QuantizeOp, RequantizeOp, SelectThresholdOp, ThresholdOp
from ...ir.types import element_of, is_float, shape_of
from .elementwise import clipped, rounded
from .forms import form
from .graph import BOOL, DOUBLE, FLOAT, Graph, Tensor, holds, largest
from .staircase import staircase


@form(QuantizeOp)
def quantize(graph: Graph, op: QuantizeOp, x: Tensor, scale: Tensor) -> Tensor:
    if holds(op.y) != FLOAT:
        raise UnsupportedError("it quantizes to integers that float32 does not hold", where=describe(op))
    known = graph.known(op.scale)
    quotient = x if known is not None and np.all(known == 1) and _broad(op.x, op.y) else graph.op("Div", x, scale)
    return clipped(graph, rounded(graph, quotient, op.get("mode")), op.get("lo"), op.get("hi"))


@form(DequantizeOp)
def dequantize(graph: Graph, op: DequantizeOp, q: Tensor, scale: Tensor) -> Tensor:
    known, number = graph.known(op.scale), graph.cast(q, FLOAT)
    return number if known is not None and np.all(known == 1) and _broad(op.q, op.y) else graph.op("Mul", number, scale)


def _broad(operand: SSAValue, result: SSAValue) -> bool:
    return shape_of(operand) == shape_of(result)


@form(RequantizeOp)
def requantize(graph: Graph, op: RequantizeOp, x: Tensor, multiplier: Tensor, divisor: Tensor) -> Tensor:
    """In float64, whose quotient of numbers below 2^51 rounds to the whole number that the exact one rounds to."""
    x, multiplier, divisor = (graph.cast(t, DOUBLE) for t in (x, multiplier, divisor))
    quotient = graph.op("Div", graph.op("Mul", x, multiplier), divisor)
    return clipped(graph, rounded(graph, quotient, op.get("mode")), op.get("lo"), op.get("hi"))


@form(ThresholdOp)
def threshold(graph: Graph, op: ThresholdOp, x: Tensor, thresholds: Tensor, sign: Tensor | None = None) -> Tensor:
    table, signs = graph.known(op.thresholds), _signs(graph, op)
    if table is None:
        raise UnsupportedError("its thresholds are computed", where=describe(op))
    shape, whole = _along(op.x, op.get("axis")), largest(element_of(op.x)) if not is_float(op.x) else None
    factor, offset = (v.reshape(shape) for v in _affine(op, signs, table.shape[-1]))
    if whole is not None and (found := staircase(table, whole)) is not None:
        a, b = (v.reshape(shape) for v in found)
        return _steps(graph, x, a, b, table.shape[-1], factor, offset)
    (x,) = (x,) if is_float(op.x) else graph.together([x], op.thresholds)
    return _map(graph, _count(graph, x, table.astype(x.dtype), shape), factor, offset)


def _signs(graph: Graph, op: ThresholdOp | SelectThresholdOp) -> np.ndarray:
    """float32 [C or 1] of -1 and 1."""
    if op.sign is None:
        return np.ones(1, np.float32)
    signs = graph.known(op.sign)
    if signs is None:
        raise UnsupportedError("its signs are computed", where=describe(op))
    return signs


def _affine(op: ThresholdOp | SelectThresholdOp, signs: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(factor, offset), float32 [C or 1]: the result is offset + factor * the number of thresholds passed."""
    base, step = op.get("base"), op.get("step")
    return np.float32(step) * signs, np.where(signs < 0, base + step * count, base).astype(np.float32)


def _along(x: SSAValue, axis: int) -> tuple[int, ...]:
    """The shape that puts a vector on an axis of x."""
    rank = len(shape_of(x))
    return tuple(-1 if i == axis % max(rank, 1) else 1 for i in range(rank))


def _steps(
    graph: Graph, x: Tensor, a: np.ndarray, b: np.ndarray, count: int, factor: np.ndarray, offset: np.ndarray
) -> Tensor:
    """offset + factor * clip(floor(a * x + b), 0, count). Where it can be, factor and offset join the map, which a
    convolution before it can absorb: one step needs no floor, and a * x + b is never a whole number otherwise."""
    ends = sorted((float(offset.flat[0]), float((offset + factor * count).flat[0])))  # whatever the channel's sign
    a, b = a * factor, b * factor + offset
    if count == 1:
        return clipped(graph, _map(graph, x, a, b), *ends)
    if abs(factor.flat[0]) == 1:
        return clipped(graph, graph.op("Floor", _map(graph, x, a, b + (factor < 0))), *ends)
    level = clipped(graph, graph.op("Floor", _map(graph, x, a / factor, (b - offset) / factor)), 0.0, float(count))
    return _map(graph, level, factor, offset)


def _map(graph: Graph, x: Tensor, a: np.ndarray, b: np.ndarray) -> Tensor:
    scaled = graph.op("Mul", x, a) if np.any(a != 1) else x
    return graph.op("Add", scaled, b) if np.any(b) else scaled


def _count(graph: Graph, x: Tensor, table: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """float32: how many thresholds of table [C or 1, n] each element reaches."""
    total = None
    for column in table.T:
        passed = graph.op("GreaterOrEqual", x, column.reshape(shape), dtype=BOOL)
        one = graph.cast(passed, FLOAT)
        total = one if total is None else graph.op("Add", total, one)
    return graph.cast(graph.op("Greater", x, x, dtype=BOOL), FLOAT) if total is None else total


@form(SelectThresholdOp)
def select_threshold(
    graph: Graph, op: SelectThresholdOp, x: Tensor, selector: Tensor, thresholds: Tensor, sign: Tensor | None = None
) -> Tensor:
    """The count for every choice, of which the selector's is kept."""
    table, signs = graph.known(op.thresholds), _signs(graph, op)
    if table is None:
        raise UnsupportedError("its thresholds are computed", where=describe(op))
    shape = _along(op.x, op.get("axis"))
    (x,) = graph.together([x], op.thresholds)
    total = _count(graph, x, table[:, 0].astype(x.dtype), shape)
    for choice in range(1, table.shape[1]):
        index = np.array(op.get("first") + choice, selector.dtype)
        chosen = graph.op("Equal", selector, index, dtype=BOOL)
        total = graph.op("Where", chosen, _count(graph, x, table[:, choice].astype(x.dtype), shape), total, dtype=FLOAT)
    factor, offset = (v.reshape(shape) for v in _affine(op, signs, table.shape[-1]))
    return _map(graph, total, factor, offset)
