"""Element-wise arithmetic.

Two operands are both float or both integer, and broadcast as in numpy. The ranges of integers follow by interval
arithmetic. Functions of one operand take floats unless stated otherwise.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, StringAttr, f32
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from ..operation import TensorOperation, fail
from ..types import Tensor, element_of, int_type, is_float, range_of, shape_of, tensor_of, tensor_type
from ._families import ALONG_BATCH, FALLS, RISES, UNKNOWN, ElementwiseOp, factor_direction
from ._shapes import broadcast_shapes


class BinaryOp(ElementwiseOp):
    """Two operands, both float or both integer, broadcast against each other."""

    a = operand_def()
    b = operand_def()
    y = result_def()
    IN_ORDER: ClassVar = True

    @abstractmethod
    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        """The range of the result for integer operands of these ranges."""
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
    """a + b."""

    name = "tn.add"

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return RISES

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] + b[0], a[1] + b[1]


@irdl_op_definition
class SubOp(BinaryOp):
    """a - b."""

    name = "tn.sub"

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return RISES if place == 0 else FALLS

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] - b[1], a[1] - b[0]


@irdl_op_definition
class MulOp(BinaryOp):
    """a * b."""

    name = "tn.mul"

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return factor_direction(constant)

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        corners = [p * q for p in a for q in b]
        if self.a is self.b:  # a square
            return 0 if a[0] < 0 < a[1] else min(a[0] ** 2, a[1] ** 2), max(corners)
        return min(corners), max(corners)


@irdl_op_definition
class DivOp(BinaryOp):
    """Float division, or integer division that truncates towards zero (as in C and ONNX); x / 0 is 0 for integers."""

    name = "tn.div"

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        if constant is None or place == 1:
            return UNKNOWN
        return np.where(constant == 0, np.nan, np.sign(constant))

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        largest = max(abs(a[0]), abs(a[1]))
        return -largest, largest


@irdl_op_definition
class MaxOp(BinaryOp):
    """The larger of a and b; NaN where one of them is NaN."""

    name = "tn.max"

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return RISES

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return max(a[0], b[0]), max(a[1], b[1])


@irdl_op_definition
class MinOp(BinaryOp):
    """The smaller of a and b; NaN where one of them is NaN."""

    name = "tn.min"

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return RISES

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return min(a[0], b[0]), min(a[1], b[1])


@irdl_op_definition
class PReluOp(BinaryOp):
    """a where a >= 0, a * b elsewhere; b is the slope."""

    name = "tn.prelu"

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN if constant is None or place == 1 else np.where(constant >= 0, 1.0, np.nan)

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        corners = [a[0], a[1], *(p * q for p in a for q in b)]
        return min(corners), max(corners)


@irdl_op_definition
class PowOp(BinaryOp):
    """a to the power of b, as C's powf; floats only."""

    name = "tn.pow"
    IN_ORDER: ClassVar = False

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        """Of the exponent; the base may be negative."""
        if constant is None or place == 0:
            return UNKNOWN
        return np.where(constant > 0, np.where(constant >= 1, 1.0, -1.0), np.nan)

    def integer_range(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        raise fail(self, "operands", "f32", "integers")


class UnaryOp(ElementwiseOp):
    """A function of one operand, whose shape the result has; floats only, unless `infer` says otherwise."""

    x = operand_def()
    y = result_def()

    @abstractmethod
    def turns(self) -> Sequence[float]:
        """Where the function changes from rising to falling, or from falling to rising."""
        raise NotImplementedError

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN if self.turns() else RISES

    def infer(self) -> Sequence[Tensor]:
        if not is_float(self.x):
            raise fail(self, "x", "f32", element_of(self.x))
        return [tensor_of(self.x)]


class RisingOp(UnaryOp):
    """A function that never falls."""

    def turns(self) -> Sequence[float]:
        return ()


@irdl_op_definition
class ReluOp(RisingOp):
    """max(x, 0), of floats or integers."""

    name = "tn.relu"
    IN_ORDER: ClassVar = True

    def infer(self) -> Sequence[Tensor]:
        if is_float(self.x):
            return [tensor_of(self.x)]
        lo, hi = range_of(element_of(self.x))
        return [tensor_type(shape_of(self.x), int_type(max(lo, 0), max(hi, 0)))]


@irdl_op_definition
class AbsOp(UnaryOp):
    """max(x, -x), of floats or integers."""

    name = "tn.abs"
    IN_ORDER: ClassVar = True

    def infer(self) -> Sequence[Tensor]:
        if is_float(self.x):
            return [tensor_of(self.x)]
        lo, hi = range_of(element_of(self.x))
        return [tensor_type(shape_of(self.x), int_type(max(lo, -hi, 0), max(-lo, hi)))]

    def turns(self) -> Sequence[float]:
        return (0.0,)


@irdl_op_definition
class LeakyReluOp(UnaryOp):
    """x where x >= 0, alpha * x elsewhere."""

    name = "tn.leaky_relu"
    alpha = prop_def(FloatAttr)
    IN_ORDER: ClassVar = True

    def turns(self) -> Sequence[float]:
        return (0.0,) if self.get("alpha") < 0 else ()


@irdl_op_definition
class SigmoidOp(RisingOp):
    """1 / (1 + exp(-x))."""

    name = "tn.sigmoid"


@irdl_op_definition
class HardSigmoidOp(UnaryOp):
    """max(0, min(1, alpha * x + beta))."""

    name = "tn.hard_sigmoid"
    alpha = prop_def(FloatAttr)
    beta = prop_def(FloatAttr)
    IN_ORDER: ClassVar = True

    def turns(self) -> Sequence[float]:
        return ()

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return np.sign(np.full(1, self.get("alpha")))


@irdl_op_definition
class HardSwishOp(UnaryOp):
    """x * max(0, min(1, x / 6 + 0.5))."""

    name = "tn.hard_swish"

    def turns(self) -> Sequence[float]:
        return (-1.5,)


@irdl_op_definition
class TanhOp(RisingOp):
    """The hyperbolic tangent."""

    name = "tn.tanh"


ROUNDING_MODES = ("round", "ceil", "floor", "up", "down", "half_up", "half_down")


@irdl_op_definition
class RoundOp(RisingOp):
    """Rounds to a whole number, which stays a float.

    mode: `round` (to the nearest, ties to even), `ceil`, `floor`, `up` (away from zero), `down` (towards zero),
    `half_up` and `half_down` (to the nearest, ties away from zero and towards zero).
    """

    name = "tn.round"
    IN_ORDER: ClassVar = True
    mode = prop_def(StringAttr)
    DEFAULTS: ClassVar = {"mode": "round"}

    def infer(self) -> Sequence[Tensor]:
        if self.get("mode") not in ROUNDING_MODES:
            raise fail(self, "mode", ROUNDING_MODES, self.get("mode"))
        return super().infer()


@irdl_op_definition
class ClipOp(RisingOp):
    """min(max(x, lo), hi), of floats or integers; for integers lo and hi are whole. Bounds may be infinite."""

    name = "tn.clip"
    IN_ORDER: ClassVar = True
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
class CastOp(ElementwiseOp):
    """Converts to the element type of the result.

    Integers become the nearest float. Floats are truncated and saturate; NaN gives 0. Integers become integers modulo
    the size of the result's range, a power of two, as in ONNX Cast.
    """

    name = "tn.cast"
    x = operand_def()
    y = result_def()
    IN_ORDER: ClassVar = True

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return RISES if is_float(self.x) or is_float(self.y) else UNKNOWN

    def infer(self) -> Sequence[Tensor]:
        return [tensor_type(shape_of(self.x), element_of(result)) for result in self.results]


@irdl_op_definition
class SoftmaxOp(TensorOperation):
    """exp(x - m) / sum(exp(x - m)) along `axis`, with m the maximum there; floats only."""

    name = "tn.softmax"
    x = operand_def()
    axis = prop_def(IntegerAttr)
    y = result_def()

    def infer(self) -> Sequence[Tensor]:
        if not is_float(self.x):
            raise fail(self, "x", "f32", element_of(self.x))
        if not 0 <= self.get("axis") < max(len(shape_of(self.x)), 1):
            raise fail(self, "axis", f"0 <= axis < {len(shape_of(self.x))}", self.get("axis"))
        return [tensor_of(self.x)]

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return ALONG_BATCH if self.get("axis") == 0 else ""


OPS = [
    AddOp, SubOp, MulOp, DivOp, MaxOp, MinOp, PReluOp, PowOp,
    ReluOp, AbsOp, LeakyReluOp, SigmoidOp, HardSigmoidOp, HardSwishOp, TanhOp, RoundOp, ClipOp, CastOp, SoftmaxOp,
]  # fmt: skip
