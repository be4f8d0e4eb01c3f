"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.tn import functions as fn
from ....ir.tn.elementwise import (
    ClipOp,
    HardSigmoidOp,
    HardSwishOp,
    LeakyReluOp,
    MaxOp,
    MinOp,
    MulOp,
    PReluOp,
    ReluOp,
    SigmoidOp,
    SoftmaxOp,
    TanhOp,
)
from ...emitter import Emitter
from ...forms import softmax as softmax_forms
from ...values import Value
from ..node import Node
from ..registry import MICROSOFT, imports, register

_EXACT_FLOAT = 2**53


def _unary(kind: type[TensorOperation], defaults: dict[str, float], e: Emitter, node: Node, x: Value) -> Value:
    attributes: dict[str, Any] = {name: node.float(name, default) for name, default in defaults.items()}
    return e.op(kind, x, **attributes)


UNARY: dict[str, tuple[type[TensorOperation], dict[str, float]]] = {
    "Relu": (ReluOp, {}),
    "LeakyRelu": (LeakyReluOp, {"alpha": 0.01}),
    "Sigmoid": (SigmoidOp, {}),
    "HardSigmoid": (HardSigmoidOp, {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": (HardSwishOp, {}),
    "Tanh": (TanhOp, {}),
    "Exp": (fn.ExpOp, {}),
    "Log": (fn.LogOp, {}),
    "Sqrt": (fn.SqrtOp, {}),
    "Erf": (fn.ErfOp, {}),
    "Elu": (fn.EluOp, {"alpha": 1.0}),
    "Softplus": (fn.SoftplusOp, {}),
    "Mish": (fn.MishOp, {}),
}
"""Operator -> operation and its float attributes with their ONNX defaults."""

for _op_type, (_kind, _defaults) in UNARY.items():
    register(_op_type, partial(_unary, _kind, _defaults), folds=_kind in fn.OPS)


@imports("Gelu", folds=True)
def gelu(e: Emitter, node: Node, x: Value) -> Value:
    mode = node.text("approximate", "none")
    if mode not in fn.GELU_MODES:
        raise node.error(f"attribute 'approximate' has the unknown value '{mode}'")
    return e.op(fn.GeluOp, x, mode=mode)


@imports("Gelu", domains=MICROSOFT)
def gelu_of_microsoft(e: Emitter, node: Node, x: Value) -> Value:
    return e.op(fn.GeluOp, x)


@imports("Selu", folds=True)
def selu(e: Emitter, node: Node, x: Value) -> Value:
    """gamma times an Elu."""
    y = e.op(fn.EluOp, x, alpha=node.float("alpha", 1.67326319217681884765625))
    return e.op(MulOp, y, e.constant(node.float("gamma", 1.05070102214813232421875), "gamma"))


@imports("PRelu")
def prelu(e: Emitter, node: Node, x: Value, slope: Value) -> Value:
    """The slope broadcasts to x."""
    y = e.op(PReluOp, x, slope)
    if y.shape != x.shape:
        raise node.error(f"the slope {list(slope.shape)} does not broadcast to {list(x.shape)}")
    return y if x.is_float else e.wrapped(y, x.dtype)


@imports("Clip")
def clip(e: Emitter, node: Node, x: Value, lo: Value | None = None, hi: Value | None = None) -> Value:
    """Bounds are attributes before opset 11, then inputs, both optional; where lo > hi everything is hi."""
    if node.opset < 11:
        low, high = node.float("min", -np.inf), node.float("max", np.inf)
        return e.op(ClipOp, x, lo=low, hi=high)
    for bound in (lo, hi):
        if bound is not None and (bound.dtype != x.dtype or prod(bound.shape) != 1):
            raise node.error(f"a bound is {bound.dtype.name}{list(bound.shape)}, expected one {x.dtype.name} number")
    if all(_fits_float(bound) for bound in (lo, hi)):
        low = -np.inf if lo is None else float(e.scalar(lo, "the lower bound"))
        high = np.inf if hi is None else float(e.scalar(hi, "the upper bound"))
        return e.op(ClipOp, x, lo=low, hi=high)
    if lo is not None:
        x = e.op(MaxOp, x, e.reshape(lo, ()))
    return e.op(MinOp, x, e.reshape(hi, ())) if hi is not None else x


def _fits_float(bound: Value | None) -> bool:
    """True for bounds that tn.clip can carry: none, and constants that a float64 holds."""
    if bound is None:
        return True
    return bound.is_constant and (bound.is_float or max(map(abs, bound.range)) <= _EXACT_FLOAT)


@imports("Softmax")
def softmax(e: Emitter, node: Node, x: Value) -> Value:
    return _along(e, node, x, lambda part, axis: e.op(SoftmaxOp, part, axis=axis))


@imports("LogSoftmax", folds=True)
def log_softmax(e: Emitter, node: Node, x: Value) -> Value:
    return _along(e, node, x, lambda part, axis: softmax_forms.log_softmax(e, part, axis))


def _along(e: Emitter, node: Node, x: Value, build: Callable[[Value, int], Value]) -> Value:
    """Over one axis; before opset 13 over all axes from `axis` on, together."""
    if node.opset >= 13:
        return build(x, e.axis(node.int("axis", -1), max(x.rank, 1)))
    axis = node.int("axis", 1)
    axis = x.rank if axis == x.rank else e.axis(axis, x.rank)
    e.keep_batch(x, axis)
    flat = e.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))
    return e.reshape(build(flat, 1), x.shape)
