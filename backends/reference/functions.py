"""Smooth functions, computed in float64 and rounded once: the nearest float32, but for rare ties of float64's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...ir.operation import TensorOperation
from ...ir.tn import functions as tn
from ...ir.tn.elementwise import PowOp
from .meaning import meaning

_F = Callable[..., np.ndarray]


def _rounded_once(*kinds: type[TensorOperation]) -> Callable[[_F], _F]:
    """Registers a function of float64 arrays."""

    def register(function: _F) -> _F:
        @meaning(*kinds)
        def compute(op: TensorOperation, *operands: np.ndarray) -> np.ndarray:
            wide = function(op, *(x.astype(np.float64) for x in operands))
            return np.asarray(wide).astype(operands[0].dtype)

        return function

    return register


@_rounded_once(tn.ExpOp)
def exp(op: tn.ExpOp, x: np.ndarray) -> np.ndarray:
    return np.exp(x)


@_rounded_once(tn.LogOp)
def log(op: tn.LogOp, x: np.ndarray) -> np.ndarray:
    return np.log(x)


@_rounded_once(tn.SqrtOp)
def sqrt(op: tn.SqrtOp, x: np.ndarray) -> np.ndarray:
    return np.sqrt(x)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


@_rounded_once(tn.ErfOp)
def erf(op: tn.ErfOp, x: np.ndarray) -> np.ndarray:
    return _erf(x)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@_rounded_once(tn.SoftplusOp)
def softplus(op: tn.SoftplusOp, x: np.ndarray) -> np.ndarray:
    return _softplus(x)


@_rounded_once(tn.EluOp)
def elu(op: tn.EluOp, x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, float(np.float32(op.get("alpha"))) * np.expm1(x), x)


@_rounded_once(tn.GeluOp)
def gelu(op: tn.GeluOp, x: np.ndarray) -> np.ndarray:
    if op.get("mode") == "tanh":
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + _erf(x / np.sqrt(2)))


@_rounded_once(tn.MishOp)
def mish(op: tn.MishOp, x: np.ndarray) -> np.ndarray:
    return x * np.tanh(_softplus(x))


@_rounded_once(PowOp)
def power(op: PowOp, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.power(a, b)
