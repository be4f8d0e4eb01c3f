"""Smooth functions of a float, element-wise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import FloatAttr, StringAttr
from xdsl.irdl import irdl_op_definition, prop_def

from ..operation import fail
from ..types import Tensor
from .elementwise import RisingOp, UnaryOp

GELU_MODES = ("none", "tanh")


@irdl_op_definition
class ExpOp(RisingOp):
    """e to the power of x."""

    name = "tn.exp"


@irdl_op_definition
class LogOp(RisingOp):
    """The natural logarithm; -infinity at 0 and NaN below."""

    name = "tn.log"


@irdl_op_definition
class SqrtOp(RisingOp):
    """The square root; NaN below 0."""

    name = "tn.sqrt"


@irdl_op_definition
class ErfOp(RisingOp):
    """The error function."""

    name = "tn.erf"


@irdl_op_definition
class SoftplusOp(RisingOp):
    """log(1 + exp(x))."""

    name = "tn.softplus"


@irdl_op_definition
class EluOp(UnaryOp):
    """x where x >= 0, alpha * (exp(x) - 1) elsewhere."""

    name = "tn.elu"
    alpha = prop_def(FloatAttr)

    def turns(self) -> Sequence[float]:
        return (0.0,) if self.get("alpha") < 0 else ()


@irdl_op_definition
class GeluOp(UnaryOp):
    """x times the probability that a standard normal variable is at most x.

    mode: `none`, x / 2 * (1 + erf(x / sqrt(2))), or `tanh`, its approximation
    x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))).
    """

    name = "tn.gelu"
    mode = prop_def(StringAttr)
    DEFAULTS: ClassVar = {"mode": "none"}

    def infer(self) -> Sequence[Tensor]:
        if self.get("mode") not in GELU_MODES:
            raise fail(self, "mode", GELU_MODES, self.get("mode"))
        return super().infer()

    def turns(self) -> Sequence[float]:
        return (-0.7517915,) if self.get("mode") == "none" else (-0.7524614,)


@irdl_op_definition
class MishOp(UnaryOp):
    """x * tanh(log(1 + exp(x)))."""

    name = "tn.mish"

    def turns(self) -> Sequence[float]:
        return (-1.1924069,)


OPS = [
    ExpOp, LogOp, SqrtOp, ErfOp, SoftplusOp, EluOp, GeluOp, MishOp,
]  # fmt: skip
