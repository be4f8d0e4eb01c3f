"""Element-by-element arithmetic and functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...ir.tn import elementwise as tn
from ...ir.tn import functions
from ...ir.types import contains, element_of, element_of_dtype, is_float, range_of, shape_of, storage_dtype
from .forms import form
from .graph import BOOL, DOUBLE, FLOAT, INT64, Graph, Tensor, holds

BINARY = {tn.AddOp: "Add", tn.SubOp: "Sub", tn.MulOp: "Mul", tn.MaxOp: "Max", tn.MinOp: "Min"}
UNARY = {
    tn.SigmoidOp: "Sigmoid",
    tn.TanhOp: "Tanh",
    functions.ExpOp: "Exp",
    functions.LogOp: "Log",
    functions.SqrtOp: "Sqrt",
    functions.ErfOp: "Erf",
    functions.SoftplusOp: "Softplus",
    functions.MishOp: "Mish",
}
"""Functions of one float that ONNX has too."""


@form(*BINARY)
def binary(graph: Graph, op: tn.BinaryOp, a: Tensor, b: Tensor) -> Tensor:
    a, b = graph.together([a, b], op.y)
    return graph.op(BINARY[type(op)], a, b)


@form(*UNARY)
def unary(graph: Graph, op: tn.UnaryOp, x: Tensor) -> Tensor:
    return graph.op(UNARY[type(op)], x)


@form(tn.DivOp)
def divide(graph: Graph, op: tn.DivOp, a: Tensor, b: Tensor) -> Tensor:
    """Integers: towards zero, and 0 where the divisor is 0, which ONNX leaves open."""
    if is_float(op.y):
        return graph.op("Div", a, b)
    a, b = (graph.cast(t, INT64) for t in (a, b))
    zero = graph.op("Equal", b, np.array(0), dtype=BOOL)
    quotient = graph.op("Div", a, graph.op("Where", zero, np.array(1), b, dtype=INT64))
    return graph.op("Where", zero, np.array(0), quotient, dtype=INT64)


@form(tn.PReluOp)
def prelu(graph: Graph, op: tn.PReluOp, a: Tensor, b: Tensor) -> Tensor:
    a, b = graph.together([a, b], op.y)
    if a.dtype == FLOAT and shape_of(op.a) == shape_of(op.y):
        return graph.op("PRelu", a, b)
    rises = graph.op("GreaterOrEqual", a, np.zeros((), a.dtype), dtype=BOOL)
    return graph.op("Where", rises, a, graph.op("Mul", a, b), dtype=a.dtype)


@form(tn.PowOp)
def power(graph: Graph, op: tn.PowOp, a: Tensor, b: Tensor) -> Tensor:
    return graph.op("Pow", a, b)


@form(tn.ReluOp)
def relu(graph: Graph, op: tn.ReluOp, x: Tensor) -> Tensor:
    return graph.op("Relu", x) if x.dtype == FLOAT else graph.op("Max", x, np.zeros((), x.dtype))


@form(tn.AbsOp)
def absolute(graph: Graph, op: tn.AbsOp, x: Tensor) -> Tensor:
    return graph.op("Abs", x)


@form(tn.LeakyReluOp)
def leaky_relu(graph: Graph, op: tn.LeakyReluOp, x: Tensor) -> Tensor:
    return graph.op("LeakyRelu", x, alpha=op.get("alpha"))


@form(functions.EluOp)
def elu(graph: Graph, op: functions.EluOp, x: Tensor) -> Tensor:
    return graph.op("Elu", x, alpha=op.get("alpha"))


@form(functions.GeluOp)
def gelu(graph: Graph, op: functions.GeluOp, x: Tensor) -> Tensor:
    return graph.op("Gelu", x, approximate=op.get("mode"))


@form(tn.HardSigmoidOp)
def hard_sigmoid(graph: Graph, op: tn.HardSigmoidOp, x: Tensor) -> Tensor:
    return graph.op("HardSigmoid", x, alpha=op.get("alpha"), beta=op.get("beta"))


@form(tn.HardSwishOp)
def hard_swish(graph: Graph, op: tn.HardSwishOp, x: Tensor) -> Tensor:
    return graph.op("HardSwish", x)


@form(tn.SoftmaxOp)
def softmax(graph: Graph, op: tn.SoftmaxOp, x: Tensor) -> Tensor:
    if shape_of(op.x):
        return graph.op("Softmax", x, axis=op.get("axis"))
    one = graph.op("Softmax", graph.op("Reshape", x, np.array([1])), axis=0)
    return graph.op("Reshape", one, np.array([], np.int64))


@form(tn.RoundOp)
def round_op(graph: Graph, op: tn.RoundOp, x: Tensor) -> Tensor:
    return rounded(graph, x, op.get("mode"))


def rounded(graph: Graph, x: Tensor, mode: str) -> Tensor:
    """Floats, float32 or float64, rounded to whole numbers; mode: one of ROUNDING_MODES."""
    if mode in ROUNDINGS:
        return graph.op(ROUNDINGS[mode], x)
    size = graph.op("Abs", x)
    return graph.op("Mul", graph.op("Sign", x), AWAY[mode](graph, size))


def _half(relation: str) -> Callable[[Graph, Tensor], Tensor]:
    """Of floats >= 0: to the nearest, where the fraction's relation to 1/2 says whether it is the upper one."""

    def nearest(graph: Graph, x: Tensor) -> Tensor:
        below = graph.op("Floor", x)
        fraction = graph.op("Sub", x, below)  # exact
        up = graph.op(relation, fraction, np.array(0.5, x.dtype), dtype=BOOL)
        return graph.op("Add", below, graph.cast(up, x.dtype))

    return nearest


ROUNDINGS = {"round": "Round", "ceil": "Ceil", "floor": "Floor"}
AWAY: dict[str, Callable[[Graph, Tensor], Tensor]] = {
    "up": lambda graph, x: graph.op("Ceil", x),
    "down": lambda graph, x: graph.op("Floor", x),
    "half_up": _half("GreaterOrEqual"),
    "half_down": _half("Greater"),
}
"""Modes that treat both signs alike, on magnitudes."""


@form(tn.ClipOp)
def clip(graph: Graph, op: tn.ClipOp, x: Tensor) -> Tensor:
    lo, hi = op.get("lo"), op.get("hi")
    if x.dtype == INT64:
        lo, hi = (min(max(v, low), high) for v, (low, high) in ((v, range_of(element_of(op.x))) for v in (lo, hi)))
        return graph.op("Clip", x, np.array(int(lo)), np.array(int(hi)))
    return clipped(graph, x, lo, hi)


def clipped(graph: Graph, x: Tensor, lo: float, hi: float) -> Tensor:
    """min(max(x, lo), hi), where lo may be above hi; infinite bounds are left out."""
    bounds = (np.array(min(lo, hi), x.dtype), np.array(hi, x.dtype))
    kept = [None if np.isinf(b) else b for b in bounds]
    return graph.op("Clip", x, *kept) if any(b is not None for b in kept) else x


@form(tn.CastOp)
def cast(graph: Graph, op: tn.CastOp, x: Tensor) -> Tensor:
    if is_float(op.y):
        return graph.cast(x, FLOAT)
    if not is_float(op.x):
        return x if contains(element_of(op.y), element_of(op.x)) else _wrapped(graph, x, op)
    lo, hi = range_of(element_of(op.y))
    number = graph.op("Where", graph.op("IsNaN", x, dtype=BOOL), np.array(0, np.float32), x, dtype=FLOAT)
    if holds(op.y) == FLOAT:
        return rounded(graph, clipped(graph, number, lo, hi), "down")
    wide = graph.cast(number, DOUBLE)
    top = np.nextafter(np.float64(hi), 0) if float(hi) > hi else np.float64(hi)  # the largest double of the range
    inside = graph.cast(clipped(graph, wide, lo, float(top)), INT64)
    above = graph.op("GreaterOrEqual", wide, np.array(hi, np.float64), dtype=BOOL)
    return graph.op("Where", above, np.array(hi), inside, dtype=INT64)


def _wrapped(graph: Graph, x: Tensor, op: tn.CastOp) -> Tensor:
    """Integers modulo the size of the result's range, a power of two: a Cast where that is a dtype's range."""
    lo, hi = range_of(element_of(op.y))
    if element_of_dtype(dtype := storage_dtype(element_of(op.y))) == element_of(op.y):
        return graph.cast(graph.cast(x, INT64), dtype)
    size = hi - lo + 1
    wide = graph.cast(x, INT64)
    if size >= 1 << 64:
        return wide
    rest = graph.op("Mod", wide, np.array(size))  # 0 to size - 1
    above = graph.op("Greater", rest, np.array(hi), dtype=BOOL)
    return graph.op("Where", above, graph.op("Sub", rest, np.array(size)), rest, dtype=INT64)
