"""Arithmetic with broadcasting and torch's promotion, rounding, casts."""

from __future__ import annotations

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.tn import functions as fn
from ....ir.tn.elementwise import AbsOp, AddOp, DivOp, MaxOp, MinOp, MulOp, RoundOp, SubOp, TanhOp
from ...emitter import Emitter
from ...forms import elementwise, logic
from ...values import BOOL, Refusal, Value
from ..node import TorchNode
from ..registry import imports, register
from ._arguments import Number, Operand, operand

# -- two operands -----------------------------------------------------------------------------------------------------


def _binary(e: Emitter, kind: type[TensorOperation], a: Operand, b: Operand, dtype: np.dtype) -> Value:
    """Both operands as the result's dtype, in which integers wrap."""
    y = e.op(kind, operand(e, a, dtype, "a"), operand(e, b, dtype, "b"), dtype=dtype)
    return y if y.is_float else e.wrapped(y, dtype)


def _plain(kind: type[TensorOperation], e: Emitter, node: TorchNode, a: Operand, b: Operand) -> Value:
    return _binary(e, kind, a, b, node.dtype)


for _name, _kind in {"mul": MulOp, "maximum": MaxOp, "minimum": MinOp, "max.other": MaxOp, "min.other": MinOp}.items():
    register(_name, _plain, _kind)


def _scaled(e: Emitter, node: TorchNode, b: Operand, alpha: Number) -> Operand:
    if alpha == 1:
        return b
    return b * alpha if not isinstance(b, Value) else _binary(e, MulOp, b, alpha, node.dtype)


def _changes_nothing(zero: Operand, x: Operand) -> bool:
    """True for a constant 0 that is added to a tensor x, as the zero points of symmetric quantizers are."""
    if not isinstance(x, Value) or not (zero.equals(0) if isinstance(zero, Value) else zero == 0):
        return False
    return not isinstance(zero, Value) or np.broadcast_shapes(x.shape, zero.shape) == x.shape


@imports("add")
def add(e: Emitter, node: TorchNode, a: Operand, b: Operand, alpha: Number = 1) -> Value:
    """a + alpha * b; of truth values whether one of them is true."""
    if node.dtype == BOOL:
        return _binary(e, MaxOp, a, _scaled(e, node, b, alpha), BOOL)
    if _changes_nothing(b, a):
        return operand(e, a, node.dtype)
    if alpha == 1 and _changes_nothing(a, b):
        return operand(e, b, node.dtype)
    return _binary(e, AddOp, a, _scaled(e, node, b, alpha), node.dtype)


@imports("sub")
def subtract(e: Emitter, node: TorchNode, a: Operand, b: Operand, alpha: Number = 1) -> Value:
    """a - alpha * b."""
    if _changes_nothing(b, a):
        return operand(e, a, node.dtype)
    return _binary(e, SubOp, a, _scaled(e, node, b, alpha), node.dtype)


@imports("rsub")
def subtract_from(e: Emitter, node: TorchNode, a: Operand, b: Operand, alpha: Number = 1) -> Value:
    """b - alpha * a."""
    return subtract(e, node, b, a, alpha)


@imports("div", "true_divide")
def divide(e: Emitter, node: TorchNode, a: Operand, b: Operand, rounding_mode: str | None = None) -> Value:
    """The quotient as a float; rounding_mode: its floor, or truncated."""
    if rounding_mode not in (None, "floor", "trunc"):
        raise node.error(f"rounding_mode '{rounding_mode}' is not one")
    if np.dtype(node.dtype).kind in "iub" and rounding_mode == "floor":
        raise Refusal("division of integers with rounding_mode 'floor' is not supported")
    y = _binary(e, DivOp, a, b, node.dtype)
    if rounding_mode is None or not y.is_float:
        return y
    if rounding_mode == "trunc":
        return e.op(RoundOp, y, mode="down")
    return _at_most(e, e.op(RoundOp, y, mode="floor"), operand(e, a, node.dtype), operand(e, b, node.dtype))


def _at_most(e: Emitter, floor: Value, a: Value, b: Value) -> Value:
    """The floor of a rounded quotient, or 1 less where only rounding brought the quotient up to it: 1 // 0.1 is 9, for
    the float 0.1 is more than a tenth. The remainder a - floor * b is exact (T. J. Dekker, "A floating-point technique
    for extending the available precision", 1971: the product and its error)."""
    if b.array is not None and (np.abs(np.frexp(b.array)[0]) == 0.5).all():  # quotients by powers of two are exact
        return floor
    product = e.op(MulOp, floor, b)
    (first, first_rest), (second, second_rest) = _halves(e, floor), _halves(e, b)
    error = e.op(SubOp, e.op(MulOp, first, second), product)
    for x, y in ((first, second_rest), (first_rest, second), (first_rest, second_rest)):
        error = e.op(AddOp, error, e.op(MulOp, x, y))
    remainder = e.op(SubOp, e.op(SubOp, a, product), error)
    above = logic.at_least(e, e.constant(0.0, "zero"), e.op(MulOp, remainder, b), above=True)
    return logic.choice(e, above, e.op(SubOp, floor, e.constant(1.0, "one")), floor)


def _halves(e: Emitter, x: Value) -> tuple[Value, Value]:
    """Two floats of 12 bits whose sum x is."""
    scaled = e.op(MulOp, x, e.constant(2.0**12 + 1, "split"))
    high = e.op(SubOp, scaled, e.op(SubOp, scaled, x))
    return high, e.op(SubOp, x, high)


@imports("floor_divide")
def floor_divide(e: Emitter, node: TorchNode, a: Operand, b: Operand) -> Value:
    return divide(e, node, a, b, "floor")


@imports("pow")
def power(e: Emitter, node: TorchNode, a: Operand, exponent: Operand) -> Value:
    """Of the result's dtype. A half is a square root, which torch takes too."""
    x = operand(e, a, node.dtype, "base")
    if exponent == 0.5 and x.is_float:
        return e.op(fn.SqrtOp, x)
    return elementwise.power(e, x, operand(e, exponent, node.dtype, "exponent"))


# -- one operand ------------------------------------------------------------------------------------------------------


def _function(kind: type[TensorOperation], e: Emitter, node: TorchNode, x: Value) -> Value:
    return e.op(kind, operand(e, x, node.dtype))


for _name, _kind in {
    "exp": fn.ExpOp,
    "log": fn.LogOp,
    "sqrt": fn.SqrtOp,
    "erf": fn.ErfOp,
    "special_erf": fn.ErfOp,
    "tanh": TanhOp,
}.items():
    register(_name, _function, _kind)


@imports("rsqrt")
def inverse_root(e: Emitter, node: TorchNode, x: Value) -> Value:
    return elementwise.reciprocal(e, e.op(fn.SqrtOp, operand(e, x, node.dtype)))


@imports("reciprocal")
def reciprocal(e: Emitter, node: TorchNode, x: Value) -> Value:
    return elementwise.reciprocal(e, operand(e, x, node.dtype))


@imports("square")
def square(e: Emitter, node: TorchNode, x: Value) -> Value:
    return _binary(e, MulOp, x, x, node.dtype)


@imports("log2", "log10")
def logarithm(e: Emitter, node: TorchNode, x: Value) -> Value:
    scale = 1 / np.log(2 if node.op_type == "log2" else 10)
    return e.op(MulOp, e.op(fn.LogOp, operand(e, x, node.dtype)), e.constant(float(scale), "scale"))


@imports("log1p", "expm1")
def near_zero(e: Emitter, node: TorchNode, x: Value) -> Value:
    """log(1 + x) and exp(x) - 1, also where x is so small that 1 + x rounds."""
    x, one = operand(e, x, node.dtype), e.constant(1.0, "one")
    if node.op_type == "expm1":  # tanh(x / 2) (exp(x) + 1)
        half = e.op(TanhOp, e.op(MulOp, x, e.constant(0.5, "half")))
        return e.op(MulOp, half, e.op(AddOp, e.op(fn.ExpOp, x), one))
    y = e.op(AddOp, x, one)  # Kahan: the error of the sum is in y - 1, too
    plain = e.op(fn.LogOp, y)
    exact = e.op(MulOp, plain, e.op(DivOp, x, e.op(SubOp, y, one)))
    small = logic.choice(e, logic.equal(e, y, one), x, exact)
    return logic.choice(e, logic.at_least(e, y, e.constant(2.0, "two"), above=True), plain, small)


@imports("neg")
def negative(e: Emitter, node: TorchNode, x: Value) -> Value:
    return elementwise.negative(e, x)


@imports("abs")
def absolute(e: Emitter, node: TorchNode, x: Value) -> Value:
    y = e.op(AbsOp, x)
    return y if x.is_float else e.wrapped(y, x.dtype)


def _round(mode: str, e: Emitter, node: TorchNode, x: Value) -> Value:
    return e.op(RoundOp, x, mode=mode) if x.is_float else x


for _name, _mode in {
    "round.default": "round",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "down",
    "fix": "down",
}.items():
    register(_name, _round, _mode)


@imports("to", "_to_copy", "type_as", "detach", "clone", "contiguous", "alias", "lift_fresh_copy", "lift_fresh")
def converted(e: Emitter, node: TorchNode, x: Value, *_: object, **__: object) -> Value:
    """The same numbers, in the dtype that torch says of the result."""
    return operand(e, x, node.dtype)


@imports("dropout", "feature_dropout", "alpha_dropout", "native_dropout")
def dropout(e: Emitter, node: TorchNode, x: Value, p: float = 0.5, train: bool = False) -> Value | list[Value | None]:
    """The input itself."""
    if train and p:
        raise Refusal("training mode is not supported; export the module in evaluation mode: module.eval()")
    return [x, None] if node.op_type == "native_dropout" else x
