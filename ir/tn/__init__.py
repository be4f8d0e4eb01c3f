"""The graph dialect `tn`: one operation per mathematical step, integers with exact ranges, no layouts."""

from xdsl.ir import Dialect

from ..literals import ValuesAttr
from ..types import IntType, SetType
from . import constant, elementwise, functions, linear, logic, movement, pool, quant
from ._families import ElementwiseOp, MovementOp

__all__ = ["OPS", "TN", "ElementwiseOp", "MovementOp"]

OPS = [op for family in (constant, linear, elementwise, functions, logic, quant, pool, movement) for op in family.OPS]
TN = Dialect("tn", OPS, [IntType, SetType, ValuesAttr])
