"""Element-by-element arithmetic, with numpy broadcasting; integer ranges follow by interval arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import FloatAttr, StringAttr, f32
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ..operation import TensorOperation, fail
from ..types import Tensor, element_of, int_type, is_float, range_of, shape_of, tensor_of, tensor_type
from ._shapes import broadcast_shapes


class BinaryOp(TensorOperation):
    """Two operands, both float or both integer, broadcast against each other."""

    a = operand_def()
    b = operand_def()
    y = result_def()

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        raise NotImplementedError

    def infer(self) -> Sequence[Tensor]:
        shape = broadcast_shapes(self, shape_of(self.a), shape_of(self.b))
        if is_float(self.a) != is_float(self.b):
            raise fail(self, "operands", "both float or both integer", f"{element_of(self.a)}, {element_of(self.b)}")
        if is_float(self.a):
            return [tensor_type(shape, f32)]
        return [
            tensor_type(
                shape,
                int_type(*self.integer_range(range_of(element_of(self.a)), range_of(element_of(self.b)))),
            )
        ]


@irdl_op_definition
class AddOp(BinaryOp):
    name = "tn.add"

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] + b[0], a[1] + b[1]


@irdl_op_definition
class SubOp(BinaryOp):
    name = "tn.sub"

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] - b[1], a[1] - b[0]


@irdl_op_definition
class MulOp(BinaryOp):
    name = "tn.mul"

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        corners = [p * q for p in a for q in b]
        return min(corners), max(corners)


@irdl_op_definition
class DivOp(BinaryOp):
    """Float division, or integer division that truncates towards zero (as in C and ONNX); x / 0 is 0 for integers."""

    name = "tn.div"

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        largest = max(abs(a[0]), abs(a[1]))
        return -largest, largest


@irdl_op_definition
class MaxOp(BinaryOp):
    name = "tn.max"

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return max(a[0], b[0]), max(a[1], b[1])


@irdl_op_definition
class MinOp(BinaryOp):
    name = "tn.min"

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return min(a[0], b[0]), min(a[1], b[1])


@irdl_op_definition
class PReluOp(BinaryOp):
    """a where a >= 0, a * b elsewhere; b is the slope."""

    name = "tn.prelu"

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        corners = [a[0], a[1], *(p * q for p in a for q in b)]
        return min(corners), max(corners)


class UnaryOp(TensorOperation):
    """One float operand; the result has its shape."""

    x = operand_def()
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        if not is_float(self.x):
            raise fail(self, "x", "f32", element_of(self.x))
        return [tensor_of(self.x)]


@irdl_op_definition
class ReluOp(UnaryOp):
    """max(x, 0); integers too."""

    name = "tn.relu"

    def infer(self) -> Sequence[Tensor]:
        if is_float(self.x):
            return [tensor_of(self.x)]
        lo, hi = range_of(element_of(self.x))
        return [tensor_type(shape_of(self.x), int_type(max(lo, 0), max(hi, 0)))]


@irdl_op_definition
class LeakyReluOp(UnaryOp):
    """x where x >= 0, alpha * x elsewhere."""

    name = "tn.leaky_relu"
    alpha = prop_def(FloatAttr)


@irdl_op_definition
class SigmoidOp(UnaryOp):
    """1 / (1 + exp(-x))."""

    name = "tn.sigmoid"


@irdl_op_definition
class HardSigmoidOp(UnaryOp):
    """max(0, min(1, alpha * x + beta))."""

    name = "tn.hard_sigmoid"
    alpha = prop_def(FloatAttr)
    beta = prop_def(FloatAttr)


@irdl_op_definition
class HardSwishOp(UnaryOp):
    """x * max(0, min(1, x / 6 + 0.5))."""

    name = "tn.hard_swish"


@irdl_op_definition
class TanhOp(UnaryOp):
    name = "tn.tanh"


ROUNDING_MODES = ("round", "ceil", "floor", "up", "down", "half_up", "half_down")


@irdl_op_definition
class RoundOp(UnaryOp):
    """Rounds to a whole number, kept as float. mode: one of ROUNDING_MODES; `round` is half to even, `up` away from
    zero, `down` towards zero, `half_up` / `half_down` ties away from / towards zero."""

    name = "tn.round"
    mode = prop_def(StringAttr)
    DEFAULTS: ClassVar = {"mode": "round"}

    def infer(self) -> Sequence[Tensor]:
        if self.get("mode") not in ROUNDING_MODES:
            raise fail(self, "mode", ROUNDING_MODES, self.get("mode"))
        return super().infer()


@irdl_op_definition
class ClipOp(UnaryOp):
    """min(max(x, lo), hi); on integers lo and hi are whole. Infinite bounds are allowed."""

    name = "tn.clip"
    lo = prop_def(FloatAttr)
    hi = prop_def(FloatAttr)

    def infer(self) -> Sequence[Tensor]:
        if is_float(self.x):
            return [tensor_of(self.x)]
        lo, hi = (min(max(v, self.get("lo")), self.get("hi")) for v in range_of(element_of(self.x)))
        if not math.isfinite(lo) or not math.isfinite(hi):
            raise fail(self, "bounds", "a finite result for integers", (self.get("lo"), self.get("hi")))
        return [tensor_type(shape_of(self.x), int_type(int(lo), int(hi)))]


@irdl_op_definition
class CastOp(TensorOperation):
    """To the result's element: int -> float exact or nearest; float -> int truncates and saturates (NaN
    gives 0); int -> int wraps
    modulo the (power of two) size of the result's range, as ONNX Cast does."""

    name = "tn.cast"
    x = operand_def()
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        return [tensor_type(shape_of(self.x), element_of(result)) for result in self.results]


@irdl_op_definition
class SoftmaxOp(UnaryOp):
    """exp(x - max) / sum over one axis."""

    name = "tn.softmax"
    axis = prop_def()

    def infer(self) -> Sequence[Tensor]:
        if not 0 <= self.get("axis") < max(len(shape_of(self.x)), 1):
            raise fail(self, "axis", f"0 <= axis < {len(shape_of(self.x))}", self.get("axis"))
        return super().infer()


OPS = [
    AddOp, SubOp, MulOp, DivOp, MaxOp, MinOp, PReluOp,
    ReluOp, LeakyReluOp, SigmoidOp, HardSigmoidOp, HardSwishOp, TanhOp, RoundOp, ClipOp, CastOp, SoftmaxOp,
]  # fmt: skip
