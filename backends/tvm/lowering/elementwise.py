"""Element-by-element operations: scalar functions as the interpreter has them, over broadcast shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....ir.operation import TensorOperation
from ....ir.tn import elementwise as tn
from ....ir.tn import functions as smooth
from ....ir.tn.logic import CompareOp, SelectOp
from ....ir.tn.quant import DequantizeOp, QuantizeOp, RequantizeOp
from ....ir.types import element_of, is_float, range_of, shape_of
from ..context import Context, dtype_of
from ..package import Expr, Scalar, Tensor, te, tirx
from .rules import relax_of, wide

EXACT = 1 << 53
"""Up to here float64 has every integer."""
INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1


def scalars(*kinds: type[TensorOperation]) -> Callable[[Callable[..., Scalar]], Any]:
    """Registers a function of an operation and one element of each operand. Integers come in a type that holds operands
    and results; the result is stored in its own."""

    def register(function: Callable[..., Scalar]) -> Callable[..., Scalar]:
        @relax_of(*kinds)
        def rule(context: Context, op: TensorOperation, *operands: Expr) -> Expr:
            return _over_elements(context, op, function, operands)

        return function

    return register


def _over_elements(
    context: Context, op: TensorOperation, function: Callable[..., Scalar], operands: tuple[Expr, ...]
) -> Expr:
    shape, dtype, exact = shape_of(op.results[0]), dtype_of(op.results[0]), wide((*op.operands, *op.results))

    def compute(*tensors: Tensor) -> Tensor:
        def element(*at: Scalar) -> Scalar:
            values = [_element(tensor, at) for tensor in tensors]
            return function(op, *(v if v.ty.dtype == "float32" else v.astype(exact) for v in values)).astype(dtype)

        return te.compute(shape, element)

    return context.emit_te(compute, *operands)


def _element(tensor: Tensor, at: tuple[Scalar, ...]) -> Scalar:
    sizes = [int(size) for size in tensor.shape]
    own = at[len(at) - len(sizes) :]
    return tensor(*(0 if size == 1 else i for size, i in zip(sizes, own, strict=True)))


def f32(value: float) -> Scalar:
    return tirx.const(value, "float32")


def whole(value: int, like: Scalar) -> Scalar:
    return tirx.const(value, like.ty.dtype)


def larger(a: Scalar, b: Scalar) -> Scalar:
    """NaN where one of them is, as in numpy."""
    return tirx.Select(tirx.any(a >= b, tirx.isnan(a)), a, b) if _floats(a) else tirx.max(a, b)


def smaller(a: Scalar, b: Scalar) -> Scalar:
    return tirx.Select(tirx.any(a <= b, tirx.isnan(a)), a, b) if _floats(a) else tirx.min(a, b)


def _floats(a: Scalar) -> bool:
    return str(a.ty.dtype).startswith("float")


@scalars(tn.AddOp)
def add(op: tn.AddOp, a: Scalar, b: Scalar) -> Scalar:
    return a + b


@scalars(tn.SubOp)
def sub(op: tn.SubOp, a: Scalar, b: Scalar) -> Scalar:
    return a - b


@scalars(tn.MulOp)
def mul(op: tn.MulOp, a: Scalar, b: Scalar) -> Scalar:
    return a * b


@scalars(tn.DivOp)
def div(op: tn.DivOp, a: Scalar, b: Scalar) -> Scalar:
    if is_float(op.y):
        return a / b
    nothing = b == whole(0, b)
    return tirx.Select(nothing, whole(0, a), tirx.truncdiv(a, tirx.Select(nothing, whole(1, b), b)))


@scalars(tn.MaxOp)
def maximum(op: tn.MaxOp, a: Scalar, b: Scalar) -> Scalar:
    return larger(a, b)


@scalars(tn.MinOp)
def minimum(op: tn.MinOp, a: Scalar, b: Scalar) -> Scalar:
    return smaller(a, b)


@scalars(tn.PReluOp)
def prelu(op: tn.PReluOp, a: Scalar, b: Scalar) -> Scalar:
    return tirx.Select(a >= f32(0), a, a * b)


@scalars(tn.ReluOp)
def relu(op: tn.ReluOp, x: Scalar) -> Scalar:
    return larger(x, tirx.const(0, x.ty.dtype))


@scalars(tn.AbsOp)
def absolute(op: tn.AbsOp, x: Scalar) -> Scalar:
    return tirx.abs(x)


@scalars(tn.LeakyReluOp)
def leaky_relu(op: tn.LeakyReluOp, x: Scalar) -> Scalar:
    return tirx.Select(x >= f32(0), x, f32(op.get("alpha")) * x)


@scalars(tn.SigmoidOp)
def sigmoid(op: tn.SigmoidOp, x: Scalar) -> Scalar:
    return f32(1) / (f32(1) + tirx.exp(-x))


@scalars(tn.HardSigmoidOp)
def hard_sigmoid(op: tn.HardSigmoidOp, x: Scalar) -> Scalar:
    return larger(f32(0), smaller(f32(1), f32(op.get("alpha")) * x + f32(op.get("beta"))))


@scalars(tn.HardSwishOp)
def hard_swish(op: tn.HardSwishOp, x: Scalar) -> Scalar:
    return x * larger(f32(0), smaller(f32(1), x / f32(6) + f32(0.5)))


@scalars(tn.TanhOp)
def tanh(op: tn.TanhOp, x: Scalar) -> Scalar:
    return in_double(tirx.tanh)(x)


def _signed(size: Scalar, x: Scalar) -> Scalar:
    return tirx.Select(x < f32(0), -size, size)


def _half(x: Scalar, *, up: bool) -> Scalar:
    size = tirx.abs(x)
    below = tirx.trunc(size)
    more = size - below >= f32(0.5) if up else size - below > f32(0.5)
    return _signed(below + tirx.Select(more, f32(1), f32(0)), x)


ROUNDINGS: dict[str, Callable[[Scalar], Scalar]] = {
    "round": tirx.nearbyint,
    "ceil": tirx.ceil,
    "floor": tirx.floor,
    "up": lambda x: _signed(tirx.ceil(tirx.abs(x)), x),
    "down": tirx.trunc,
    "half_up": lambda x: _half(x, up=True),
    "half_down": lambda x: _half(x, up=False),
}
"""Float32 to whole float32, for every mode of `ROUNDING_MODES`."""


@scalars(tn.RoundOp)
def round_(op: tn.RoundOp, x: Scalar) -> Scalar:
    return ROUNDINGS[op.get("mode")](x)


@scalars(tn.ClipOp)
def clip(op: tn.ClipOp, x: Scalar) -> Scalar:
    low, high = op.get("lo"), op.get("hi")
    if is_float(op.x):
        return smaller(larger(x, f32(low)), f32(high))
    low, high = (int(min(max(end, low), high)) for end in range_of(element_of(op.x)))
    return tirx.min(tirx.max(x, whole(low, x)), whole(high, x))


@scalars(tn.CastOp)
def cast(op: tn.CastOp, x: Scalar) -> Scalar:
    if is_float(op.y):
        return x.astype("float32")
    low, high = range_of(element_of(op.y))
    if is_float(op.x):
        return saturated(tirx.trunc(x), low, high)
    first, last = range_of(element_of(op.x))
    if low <= first and last <= high:
        return x
    size = high - low + 1
    if size > INT64_MAX:
        return x
    step = tirx.const(size, "int64")  # in two steps: x - low need not fit in 64 bits
    return tirx.floormod(tirx.floormod(x.astype("int64"), step) - low % size, step) + low


def saturated(x: Scalar, low: int, high: int) -> Scalar:
    """Whole floats as integers of low..high; NaN is 0."""
    wide, zero = x.astype("float64"), tirx.const(min(max(0, low), high), "int64")
    first, last = (low, high) if low >= -EXACT and high <= EXACT else (INT64_MIN, INT64_MAX - 1023)
    inside = tirx.min(tirx.max(wide, tirx.const(float(first), "float64")), tirx.const(float(last), "float64"))
    whole = inside.astype("int64")
    if (first, last) != (low, high):  # float64 lacks these bounds, so they are compared with as integers
        whole = tirx.Select(wide >= tirx.const(2.0**63, "float64"), tirx.const(INT64_MAX, "int64"), whole)
        whole = tirx.min(tirx.max(whole, tirx.const(low, "int64")), tirx.const(high, "int64"))
    return tirx.Select(tirx.isnan(x), zero, whole)


@scalars(QuantizeOp)
def quantize(op: QuantizeOp, x: Scalar, scale: Scalar) -> Scalar:
    return saturated(ROUNDINGS[op.get("mode")](x / scale), op.get("lo"), op.get("hi"))


@scalars(DequantizeOp)
def dequantize(op: DequantizeOp, q: Scalar, scale: Scalar) -> Scalar:
    return q.astype("float32") * scale


@scalars(RequantizeOp)
def requantize(op: RequantizeOp, x: Scalar, multiplier: Scalar, divisor: Scalar) -> Scalar:
    """The quotient rounded down, and one more where the rest says so."""
    a, b = x.astype("int64") * multiplier.astype("int64"), divisor.astype("int64")
    below = tirx.floordiv(a, b)
    twice = tirx.const(2, "int64") * (a - below * b) - b
    zero = tirx.const(0, "int64")
    some, odd = twice > -b, tirx.floormod(below, tirx.const(2, "int64")) != zero
    up = {
        "floor": tirx.const(False, "bool"),
        "ceil": some,
        "up": tirx.all(a > zero, some),
        "down": tirx.all(a < zero, some),
        "half_up": tirx.any(twice > zero, tirx.all(twice == zero, a > zero)),
        "half_down": tirx.any(twice > zero, tirx.all(twice == zero, a < zero)),
    }.get(op.get("mode"), tirx.any(twice > zero, tirx.all(twice == zero, odd)))
    rounded = below + up.astype("int64")
    return tirx.min(tirx.max(rounded, tirx.const(op.get("lo"), "int64")), tirx.const(op.get("hi"), "int64"))


@scalars(CompareOp)
def compare(op: CompareOp, a: Scalar, b: Scalar) -> Scalar:
    return {"ge": a >= b, "gt": a > b, "eq": a == b}[op.get("relation")]


@scalars(SelectOp)
def select(op: SelectOp, condition: Scalar, a: Scalar, b: Scalar) -> Scalar:
    return tirx.Select(condition != tirx.const(0, condition.ty.dtype), a, b)


def in_double(function: Callable[..., Scalar]) -> Callable[..., Scalar]:
    """In float64, rounded once, as the interpreter computes smooth functions."""
    return lambda *values: function(*(value.astype("float64") for value in values)).astype("float32")


def double(value: float) -> Scalar:
    return tirx.const(value, "float64")


def _softplus(x: Scalar) -> Scalar:
    return tirx.max(x, double(0)) + tirx.log1p(tirx.exp(-tirx.abs(x)))


@scalars(smooth.ExpOp)
def exp(op: smooth.ExpOp, x: Scalar) -> Scalar:
    return in_double(tirx.exp)(x)


@scalars(smooth.LogOp)
def log(op: smooth.LogOp, x: Scalar) -> Scalar:
    return in_double(tirx.log)(x)


@scalars(smooth.SqrtOp)
def sqrt(op: smooth.SqrtOp, x: Scalar) -> Scalar:
    return in_double(tirx.sqrt)(x)


@scalars(smooth.ErfOp)
def erf(op: smooth.ErfOp, x: Scalar) -> Scalar:
    return in_double(tirx.erf)(x)


@scalars(smooth.SoftplusOp)
def softplus(op: smooth.SoftplusOp, x: Scalar) -> Scalar:
    return in_double(_softplus)(x)


@scalars(smooth.EluOp)
def elu(op: smooth.EluOp, x: Scalar) -> Scalar:
    alpha = float(f32(op.get("alpha")).value)
    below = in_double(lambda wide: double(alpha) * (tirx.exp(wide) - double(1)))(x)
    return tirx.Select(x < f32(0), below, x)


@scalars(smooth.GeluOp)
def gelu(op: smooth.GeluOp, x: Scalar) -> Scalar:
    def by_tanh(x: Scalar) -> Scalar:
        return x / double(2) * (double(1) + tirx.tanh(double(0.7978845608028654) * (x + double(0.044715) * x * x * x)))

    def by_erf(x: Scalar) -> Scalar:
        return x / double(2) * (double(1) + tirx.erf(x / double(1.4142135623730951)))

    return in_double(by_tanh if op.get("mode") == "tanh" else by_erf)(x)


@scalars(smooth.MishOp)
def mish(op: smooth.MishOp, x: Scalar) -> Scalar:
    return in_double(lambda x: x * tirx.tanh(_softplus(x)))(x)


@scalars(tn.PowOp)
def power(op: tn.PowOp, a: Scalar, b: Scalar) -> Scalar:
    return in_double(tirx.power)(a, b)
