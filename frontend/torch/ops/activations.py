"""Activation functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....ir.operation import TensorOperation
from ....ir.tn import functions as fn
from ....ir.tn.elementwise import (
    HardSigmoidOp,
    HardSwishOp,
    LeakyReluOp,
    MulOp,
    PReluOp,
    ReluOp,
    SigmoidOp,
    SoftmaxOp,
)
from ...emitter import Emitter
from ...forms import elementwise, logic
from ...forms.softmax import log_softmax as log_softmax_form
from ...values import Refusal, Value
from ..node import TorchNode
from ..registry import imports, register
from ._arguments import Number, operand
from .comparisons import clipped


def _unary(kind: type[TensorOperation], attributes: dict[str, Any], e: Emitter, node: TorchNode, x: Value) -> Value:
    return e.op(kind, operand(e, x, node.dtype) if kind is not ReluOp else x, **attributes)


for _name, (_kind, _attributes) in {
    "relu": (ReluOp, {}),
    "sigmoid": (SigmoidOp, {}),
    "hardsigmoid": (HardSigmoidOp, {"alpha": 1 / 6, "beta": 0.5}),
    "hardswish": (HardSwishOp, {}),
    "mish": (fn.MishOp, {}),
}.items():
    register(_name, _unary, _kind, _attributes)


@imports("relu6")
def relu6(e: Emitter, node: TorchNode, x: Value) -> Value:
    return clipped(e, x, 0, 6)


@imports("silu")
def silu(e: Emitter, node: TorchNode, x: Value) -> Value:
    return e.op(MulOp, x, e.op(SigmoidOp, x))


@imports("log_sigmoid")
def log_sigmoid(e: Emitter, node: TorchNode, x: Value) -> Value:
    """-log(1 + exp(-x))."""
    return elementwise.negative(e, e.op(fn.SoftplusOp, elementwise.negative(e, x)))


@imports("gelu")
def gelu(e: Emitter, node: TorchNode, x: Value, approximate: str = "none") -> Value:
    if approximate not in fn.GELU_MODES:
        raise node.error(f"argument 'approximate' has the unknown value '{approximate}'")
    return e.op(fn.GeluOp, x, mode=approximate)


@imports("leaky_relu")
def leaky_relu(e: Emitter, node: TorchNode, x: Value, negative_slope: Number = 0.01) -> Value:
    return e.op(LeakyReluOp, x, alpha=float(negative_slope))


@imports("elu")
def elu(e: Emitter, node: TorchNode, x: Value, alpha: Number = 1, scale: Number = 1, input_scale: Number = 1) -> Value:
    """scale * (x where x > 0, alpha * (exp(input_scale * x) - 1) elsewhere)."""
    inner = x if input_scale == 1 else e.op(MulOp, x, e.constant(float(input_scale), "input_scale"))
    y = e.op(fn.EluOp, inner, alpha=float(alpha))
    if input_scale != 1:
        positive = logic.at_least(e, x, e.constant(np.zeros((), np.float32), "zero"), above=True)
        y = logic.choice(e, positive, x, y)
    return y if scale == 1 else e.op(MulOp, y, e.constant(float(scale), "scale"))


@imports("celu")
def celu(e: Emitter, node: TorchNode, x: Value, alpha: Number = 1) -> Value:
    return elu(e, node, x, alpha, 1, 1 / float(alpha))


@imports("selu")
def selu(e: Emitter, node: TorchNode, x: Value) -> Value:
    return elu(e, node, x, 1.6732632423543772, 1.0507009873554805)


@imports("softplus")
def softplus(e: Emitter, node: TorchNode, x: Value, beta: Number = 1, threshold: Number = 20) -> Value:
    """log(1 + exp(beta * x)) / beta; above the threshold torch gives x, which then is the same in float32."""
    if threshold < 20:
        raise Refusal(f"softplus with the threshold {threshold} is not supported, only 20 or more")
    if beta == 1:
        return e.op(fn.SoftplusOp, x)
    y = e.op(fn.SoftplusOp, e.op(MulOp, x, e.constant(float(beta), "beta")))
    return e.op(MulOp, y, e.constant(1 / float(beta), "scale"))


@imports("prelu", "_prelu_kernel")
def prelu(e: Emitter, node: TorchNode, x: Value, weight: Value) -> Value:
    """weight: one slope, or one for each channel (axis 1)."""
    if node.op_type == "prelu" and weight.rank == 1 and x.rank > 1:
        weight = e.reshape(weight, (weight.shape[0], *(1,) * (x.rank - 2)))
    elif node.op_type == "prelu":
        weight = e.reshape(weight, ())
    return e.op(PReluOp, x, weight)


@imports("softmax", "_softmax")
def softmax(e: Emitter, node: TorchNode, x: Value, dim: int, *_: object, **__: object) -> Value:
    x = operand(e, x, node.dtype)
    return e.op(SoftmaxOp, x, axis=e.axis(dim, max(x.rank, 1)))


@imports("log_softmax", "_log_softmax")
def log_softmax(e: Emitter, node: TorchNode, x: Value, dim: int, *_: object, **__: object) -> Value:
    x = operand(e, x, node.dtype)
    return log_softmax_form(e, x, e.axis(dim, max(x.rank, 1)))
