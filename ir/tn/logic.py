"""Comparisons and choices.

A truth value is an integer 0 or 1: `and` is tn.min, `or` is tn.max, `not` is a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import StringAttr
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ..operation import fail
from ..types import BOOL, Tensor, element_of, is_float, range_of, shape_of, tensor_type
from ._families import FALLS, RISES, UNKNOWN, ElementwiseOp
from ._shapes import broadcast_shapes
from .elementwise import BinaryOp
from .movement import union

COMPARISONS = ("ge", "gt", "eq")


@irdl_op_definition
class CompareOp(BinaryOp):
    """1 where the relation holds, else 0; it never holds where a or b is NaN.

    relation: `ge` (a >= b), `gt` (a > b) or `eq` (a = b). For the other comparisons operands are swapped. A comparison
    with a constant is better written as tn.threshold.
    """

    name = "tn.compare"
    relation = prop_def(StringAttr)

    def infer(self) -> Sequence[Tensor]:
        if self.get("relation") not in COMPARISONS:
            raise fail(self, "relation", COMPARISONS, self.get("relation"))
        (tensor,) = super().infer()
        return [tensor_type(shape_of(tensor), BOOL if is_float(self.a) else element_of(tensor))]

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN if self.get("relation") == "eq" else RISES if place == 0 else FALLS

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        """What the ranges decide: 1:1 where it always holds, 0:0 where it never does."""
        always, never = {
            "ge": (a[0] >= b[1], a[1] < b[0]),
            "gt": (a[0] > b[1], a[1] <= b[0]),
            "eq": (a[0] == a[1] == b[0] == b[1], a[1] < b[0] or b[1] < a[0]),
        }[self.get("relation")]
        return int(always), int(not never)


@irdl_op_definition
class SelectOp(ElementwiseOp):
    """a where the condition is not 0, b elsewhere; all three broadcast. a and b are both float or both integer."""

    name = "tn.select"
    condition = operand_def()
    a = operand_def()
    b = operand_def()
    y = result_def()

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN if place == 0 else RISES

    def infer(self) -> Sequence[Tensor]:
        if is_float(self.condition):
            raise fail(self, "condition", "integers", element_of(self.condition))
        if is_float(self.a) != is_float(self.b):
            raise fail(self, "operands", "both float or both integer", f"{element_of(self.a)}, {element_of(self.b)}")
        shape = broadcast_shapes(self, *(shape_of(v) for v in self.operands))
        element = union(element_of(self.a), element_of(self.b))
        lo, hi = range_of(element_of(self.condition))
        if lo > 0 or hi < 0:
            element = element_of(self.a)
        elif lo == hi == 0:
            element = element_of(self.b)
        return [tensor_type(shape, element)]


OPS = [CompareOp, SelectOp]
