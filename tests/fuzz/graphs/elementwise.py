"""Arithmetic, activations, casts."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from tercet.frontend.onnx.ops.activations import UNARY

from .builder import BOOL, FLOAT, RANGES, Graph, Value
from .numbers import real, scale
from .rule import both, floats, full, movable, numbers, rule, since


def _other(g: Graph, x: Value) -> tuple[Value, tuple[int, ...]]:
    """What x is combined with, and the shape of the result: another value, x itself or a constant."""
    if g.chance(0.65):
        other = g.partner(x)
    else:
        shapes: list[tuple[int, ...]] = [(), x.shape[1:]]
        shapes += [(x.shape[1], *(1,) * (x.rank - 2)), (1,) * x.rank] if x.rank >= 2 else []
        shape = g.pick(shapes)
        if x.is_float:
            array = real(g, shape, max(x.size, 1e-3) * g.pick((0.5, 1.0, 1.0, 0.0)))
        else:
            lo, hi = (max(min(bound, 40), -40) for bound in RANGES[x.dtype.name])
            array = g.rng.integers(lo, hi + 1, shape).astype(x.dtype)
        other = g.constant(array)
    shape = g.joined(x, other)
    g.need(shape is not None)
    assert shape is not None
    return other, shape


def _arithmetic(kind: str, g: Graph, x: Value) -> Value:
    g.need(not (kind in ("Max", "Min") and not x.is_float and g.opset < 12))
    g.need(x.dtype.name not in ("int8", "uint8") or g.opset >= (14 if kind not in ("Max", "Min") else 12))
    other, shape = _other(g, x)
    if kind == "Div":
        # by a constant away from zero: a quotient near a pole says nothing of the compiler
        number = np.float32(scale(g, 1.0)) if x.is_float else np.array(g.pick((1, 2, 3, 7)), x.dtype)
        other, shape = g.constant(number), x.shape
    size = {"Mul": x.size * other.size, "Add": x.size + other.size, "Sub": x.size + other.size}.get(kind, x.size)
    size = size / max(other.size, 1e-6) if kind == "Div" else size
    first, second = (x, other) if kind in ("Div",) or g.chance(0.5) else (other, x)
    return g.op(kind, [first, second], shape, size=size)


def _enter(name: str, weight: float) -> None:
    @rule(name, numbers, weight=weight)
    def build(g: Graph, x: Value) -> Value:
        return _arithmetic(name, g, x)


for _name, _weight in {"Add": 3.0, "Sub": 1.5, "Mul": 1.5, "Div": 1.0, "Max": 1.0, "Min": 1.0}.items():
    _enter(_name, _weight)


@rule("Sum", floats)
def sum_(g: Graph, x: Value) -> Value:
    """Of one to three values."""
    parts, shape, size = [x], x.shape, x.size
    for _ in range(g.integer(0, 2)):
        other = g.partner(x)
        joined = g.joined(Value("", shape, x.dtype), other)
        g.need(joined is not None)
        parts, shape, size = [*parts, other], joined or (), size + other.size
    return g.op("Sum", parts, shape, size=size)


_OWN_RULE = ("Relu", "Exp", "Log", "Sqrt")
_SIZES = {"Sigmoid": 1.0, "Tanh": 1.0, "HardSigmoid": 1.0, "Erf": 1.0}
"""How large results are at most, where they do not grow with x."""
_FIRST_OPSET = {"HardSwish": 14, "Mish": 18, "Gelu": 20}


def _enter_activation(name: str) -> None:
    @rule(name, floats)
    def build(g: Graph, x: Value) -> Value:
        g.need(g.opset >= _FIRST_OPSET.get(name, 0))
        attributes: dict[str, Any] = {}
        if name == "Gelu" and g.chance(0.5):
            attributes["approximate"] = g.pick(("none", "tanh"))
        if name in ("Elu", "Selu") and g.chance(0.5):
            attributes["alpha"] = g.pick((0.5, 1.5))
        if name == "LeakyRelu" and g.chance(0.7):
            attributes["alpha"] = g.pick((0.25, 0.125, 0.1, 1.5, -0.5))
        if name == "HardSigmoid" and g.chance(0.5):
            attributes |= {"alpha": 0.25, "beta": 0.5}
        return g.op(name, [x], x.shape, size=_SIZES.get(name) or x.size, **attributes)


for _name in (*UNARY, "Gelu", "Selu"):
    if _name not in _OWN_RULE:
        _enter_activation(_name)


@rule("Exp", both(floats, lambda g, x: x.size <= 8))
def exp(g: Graph, x: Value) -> Value:
    return g.op("Exp", [x], x.shape, size=float(np.exp(x.size)))


@rule("Abs", lambda g, x: x.dtype.name in ("float32", "int8", "uint8", "int32", "int64"))
def absolute(g: Graph, x: Value) -> Value:
    return g.op("Abs", [x], x.shape)


@rule("Neg", lambda g, x: x.dtype.name in ("float32", "int8", "int32", "int64"))
def negative(g: Graph, x: Value) -> Value:
    return g.op("Neg", [x], x.shape)


def _enter_positive(name: str) -> None:
    @rule(name, floats, ops=(name, "Abs", "Add"))
    def build(g: Graph, x: Value) -> Value:
        """Of magnitudes, mostly away from 0."""
        y = g.op("Abs", [x], x.shape)
        if name != "Sqrt" or g.chance(0.5):
            y = g.op("Add", [y, g.constant(np.float32(0.5))], x.shape, size=x.size + 0.5)
        if name == "Pow":
            exponent = g.pick((0.5, 1.7, 2.0, 3.0, -1.0))
            g.need(x.size <= 1000)
            return g.op("Pow", [y, g.constant(np.float32(exponent))], x.shape, size=max(y.size**exponent, 4.0))
        size = {"Log": abs(np.log(y.size + 1)), "Sqrt": np.sqrt(y.size), "Reciprocal": 2.0}[name]
        return g.op(name, [y], x.shape, size=float(size))


for _name in ("Log", "Sqrt", "Reciprocal", "Pow"):
    _enter_positive(_name)


@rule("Pow of integers", lambda g, x: x.dtype.name in ("int32", "int64"), weight=0.5, ops=("Pow",))
def integer_power(g: Graph, x: Value) -> Value:
    exponent = g.constant(np.array(g.pick((0, 1, 2, 3)), x.dtype))
    g.need(x.size <= 1000)
    return g.op("Pow", [x, exponent], x.shape, size=x.size**3)


@rule("com.microsoft Gelu", floats, weight=0.3, ops=("Gelu",), domains=("com.microsoft",))
def gelu_of_microsoft(g: Graph, x: Value) -> Value:
    return g.op("Gelu", [x], x.shape, domain="com.microsoft")


@rule("Relu", lambda g, x: x.is_float or (x.dtype.name in ("int8", "int32") and g.opset >= 14), weight=2)
def relu(g: Graph, x: Value) -> Value:
    return g.op("Relu", [x], x.shape)


@rule("PRelu", floats)
def prelu(g: Graph, x: Value) -> Value:
    shape = g.pick([(), (1,)] + ([(x.shape[1], *(1,) * (x.rank - 2))] if x.rank >= 2 else []))
    g.need(g.joined(x, Value("", shape, FLOAT, sample=False)) == x.shape)
    return g.op("PRelu", [x, g.constant(real(g, shape, 0.5))], x.shape)


@rule("Clip", both(numbers, full))
def clip(g: Graph, x: Value) -> Value:
    lo, hi = g.pick(((-1.0, 1.0), (0.0, 6.0), (-0.5, 2.0), (None, 1.0), (0.0, None), (None, None), (1.0, -1.0)))
    if g.opset < 11:
        g.need(x.is_float)
        return g.op("Clip", [x], x.shape, min=lo, max=hi)
    g.need(x.is_float or g.opset >= 12)
    if x.dtype == np.uint8:
        lo = None if lo is None else abs(lo)
        hi = None if hi is None else abs(hi)
    bounds = [None if b is None else g.constant(np.array(b).astype(x.dtype)) for b in (lo, hi)]
    return g.op("Clip", [x, *bounds], x.shape)


def _enter_rounding(name: str) -> None:
    @rule(name, floats)
    def build(g: Graph, x: Value) -> Value:
        g.need(name != "Round" or g.opset >= 11)
        return g.op(name, [x], x.shape)


for _name in ("Round", "Ceil", "Floor"):
    _enter_rounding(_name)


@rule("CastLike", lambda g, x: movable(g, x) and g.opset >= 15)
def cast_like(g: Graph, x: Value) -> Value:
    like = g.constant(np.zeros((1,), g.pick((np.float32, np.int32, np.int64))))
    g.need(not (x.is_float and like.dtype.kind != "f" and x.size > 1e6))
    return g.op("CastLike", [x, like], x.shape, dtype=like.dtype)


@rule("Cast", movable, weight=1.5)
def cast(g: Graph, x: Value) -> Value | list[Value]:
    """To bool and back for floats; from integers to floats; between integers, which wraps."""
    if x.is_float and g.chance(0.6) and x.count:
        y = g.op("Relu", [x], x.shape) if g.chance(0.6) else x
        b = g.op("Cast", [y], x.shape, dtype=BOOL, size=1, to=helper.np_dtype_to_tensor_dtype(BOOL))
        back = g.op("Cast", [b], x.shape, dtype=FLOAT, size=1, to=helper.np_dtype_to_tensor_dtype(FLOAT))
        return [back, b] if g.chance(0.3) else [back]
    names = ["int32", "int64"] if x.is_float else ["float32", "float32", "int32", "int8", "uint8", "int64", "bool"]
    g.need(not x.is_float or x.size < 1e6)
    dtype = np.dtype(g.pick(names))
    g.need(dtype != BOOL or x.count > 0)
    limit = max(map(abs, RANGES[dtype.name])) if dtype.name in RANGES else x.size
    return g.op("Cast", [x], x.shape, dtype=dtype, size=min(x.size, limit), to=helper.np_dtype_to_tensor_dtype(dtype))


def _enter_softmax(name: str, size: float | None) -> None:
    @rule(name, both(floats, lambda g, x: x.rank >= (2 if g.batched else 1)))
    def build(g: Graph, x: Value) -> Value:
        axis = g.integer(1 if g.batched or g.opset < 13 else 0, x.rank - 1) if x.rank > 1 else 0
        g.need(x.shape[axis] > 0)
        return g.op(name, [x], x.shape, size=size or 2 * x.size + 4, axis=axis)


_enter_softmax("Softmax", 1)
_enter_softmax("LogSoftmax", None)


@rule("InstanceNormalization", lambda g, x: x.is_float and x.rank in (3, 4) and x.count > 0)
def instance_normalization(g: Graph, x: Value) -> Value:
    parameters = [g.constant(real(g, x.shape[1:2], 1.0)) for _ in range(2)]
    return g.op("InstanceNormalization", [x, *parameters], x.shape, size=4, epsilon=g.pick((None, 0.1)))


@rule("LayerNormalization", both(floats, full, since(17)))
def layer_normalization(g: Graph, x: Value) -> Value:
    first = 1 if g.batched else 0
    g.need(x.rank > first)
    axis = g.integer(first, x.rank - 1)
    parameters = [g.constant(real(g, x.shape[axis:], 1.0)) for _ in range(g.integer(1, 2))]
    given = g.pick((axis, axis - x.rank))
    return g.op("LayerNormalization", [x, *parameters], x.shape, size=4, axis=given, epsilon=g.pick((None, 0.1)))


@rule("BatchNormalization", lambda g, x: x.is_float and x.rank in (2, 3, 4), weight=2)
def batch_normalization(g: Graph, x: Value) -> Value:
    return batch_norm(g, x, x.shape[1], "")


def batch_norm(g: Graph, x: Value, channels: int, domain: str) -> Value:
    about = g.pick((1.0, 0.5))
    gamma = real(g, (channels,), about)
    if channels and g.chance(0.2):
        gamma[0] = 0
    mean, beta = real(g, (channels,), x.size / 4), real(g, (channels,), x.size / 4)
    var = np.asarray(g.rng.random(channels) * max(min(x.size, 1e6), 1e-3) ** 2 + 1e-3, np.float32)
    inputs = [x, *map(g.constant, (gamma, beta, mean, var))]
    return g.op(
        "BatchNormalization", inputs, x.shape, size=max(4.0, x.size / 2), domain=domain, epsilon=g.pick((None, 1e-3))
    )


@rule("Dropout", floats)
def dropout(g: Graph, x: Value) -> Value:
    return g.op("Dropout", [x], x.shape)


@rule("Identity", movable)
def identity(g: Graph, x: Value) -> Value:
    return g.op("Identity", [x], x.shape)
