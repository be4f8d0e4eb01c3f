"""Comparisons, logic, choices and reductions to an extreme."""

from __future__ import annotations

import numpy as np
from onnx import helper

from .builder import BOOL, FLOAT, Graph, Value
from .elementwise import _other
from .numbers import real, scale
from .rule import both, floats, full, numbers, rule, since

_CAST = helper.np_dtype_to_tensor_dtype(FLOAT)


def _answer(g: Graph, b: Value) -> list[Value]:
    """What a truth value is used for: a float, a choice, or itself."""
    form = g.pick(("cast", "cast", "where", "where", "plain"))
    if form == "cast":
        return [g.op("Cast", [b], b.shape, dtype=FLOAT, size=1, to=_CAST)]
    if form == "where":
        return [_choice(g, b)]
    return [b]


def _choice(g: Graph, b: Value) -> Value:
    """One of two constants (as binary activations are written), or one value or another."""
    fits = [v for v in g.values if v.is_float and g.joined(b, v) == b.shape]
    s = float(scale(g, 1.0))
    pairs = ((s, -s), (s, 0.0), (1.0, -1.0), (0.0, 1.0), (0.75, 0.25))
    yes, no = (g.constant(np.float32(v)) for v in g.pick(pairs))
    if fits and g.chance(0.6):
        yes = g.pick(fits)
    if fits and g.chance(0.4):
        no = g.pick(fits)
    return g.op("Where", [b, yes, no], b.shape, dtype=FLOAT, size=max(yes.size, no.size))


def _enter_comparison(name: str) -> None:
    @rule(name, both(numbers, since(16)))
    def build(g: Graph, x: Value) -> list[Value]:
        g.need(x.dtype.name not in ("int8", "uint8"))
        if g.chance(0.5):
            edge = real(g, (), x.size) if x.is_float else np.array(g.integer(-3, 3), x.dtype)
            other, shape = g.constant(np.asarray(edge) * g.pick((0, 1))), x.shape
        else:
            other, shape = _other(g, x)
        pair = [x, other] if g.chance(0.6) else [other, x]
        return _answer(g, g.op(name, pair, shape, dtype=BOOL, size=1))


for _name in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"):
    _enter_comparison(_name)


def _bools(g: Graph, x: Value) -> bool:
    return x.dtype == BOOL or (x.is_float and x.count > 0)


def _truth(g: Graph, x: Value) -> Value:
    """The value itself, or whether it is positive."""
    if x.dtype == BOOL:
        return x
    g.need(g.opset >= 13)
    return g.op("Greater", [x, g.constant(np.float32(0))], x.shape, dtype=BOOL, size=1)


@rule("Not", _bools)
def not_(g: Graph, x: Value) -> list[Value]:
    b = _truth(g, x)
    return _answer(g, g.op("Not", [b], b.shape))


def _enter_logic(name: str) -> None:
    @rule(name, _bools)
    def build(g: Graph, x: Value) -> list[Value]:
        a = _truth(g, x)
        other = g.partner(x)
        shape = g.joined(x, other)
        g.need(shape is not None)
        return _answer(g, g.op(name, [a, _truth(g, other)], shape or (), dtype=BOOL, size=1))


for _name in ("And", "Or", "Xor"):
    _enter_logic(_name)


@rule("Where", _bools)
def where(g: Graph, x: Value) -> Value:
    return _choice(g, _truth(g, x))


@rule("Sign", both(numbers, since(9)))
def sign(g: Graph, x: Value) -> Value:
    return g.op("Sign", [x], x.shape, size=1)


def _enter_extreme(name: str) -> None:
    @rule(name, both(numbers, full))
    def build(g: Graph, x: Value) -> Value:
        g.need(x.dtype.name not in ("int8", "uint8") or g.opset >= 12)
        first = 1 if g.batched else 0
        g.need(x.rank > first)
        axes = sorted({g.integer(first, x.rank - 1) for _ in range(g.integer(1, 2))})
        keep = int(g.chance(0.6))
        shape = [1 if i in axes else d for i, d in enumerate(x.shape) if keep or i not in axes]
        if g.opset >= 18:
            return g.op(name, [x, g.ints(axes)], shape, keepdims=keep)
        return g.op(name, [x], shape, axes=axes, keepdims=keep)


for _name in ("ReduceMax", "ReduceMin"):
    _enter_extreme(_name)


@rule("DynamicQuantizeLinear", both(floats, full, since(11)))
def dynamic_quantize(g: Graph, x: Value) -> list[Value]:
    """And back, with the scale that it finds."""
    g.need(x.rank >= 1)
    uint8 = np.dtype(np.uint8)
    q, s, zero = g.ops("DynamicQuantizeLinear", [x], [(x.shape, uint8), ((), FLOAT), ((), uint8)], size=255)
    y = g.op("DequantizeLinear", [q, s, zero], x.shape, dtype=FLOAT, size=x.size)
    return [y, q] if g.chance(0.3) else [y]
