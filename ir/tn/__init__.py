"""The graph dialect `tn`: one operation per mathematical step, integers with exact ranges, no layouts."""

from xdsl.ir import Dialect

from ..literals import ValuesAttr
from ..types import IntType, SetType
from . import constant, elementwise, linear, logic, movement, pool, quant

OPS = [op for family in (constant, linear, elementwise, logic, quant, pool, movement) for op in family.OPS]
TN = Dialect("tn", OPS, [IntType, SetType, ValuesAttr])
