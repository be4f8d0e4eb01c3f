"""Quantizers and thresholds: from floats to integers and back.

Zero points are not part of these: the importer writes them as integer additions, which fold and cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, StringAttr, f32
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def

from ..operation import fail
from ..types import Element, Tensor, element_of, int_type, is_float, range_of, set_type, shape_of, tensor_type
from ._families import PARAMETERS, RISES, UNKNOWN, ElementwiseOp, factor_direction
from ._shapes import broadcast_shapes, normal_axis
from .elementwise import ROUNDING_MODES

QUOTIENT_LIMIT = 1 << 51


@irdl_op_definition
class QuantizeOp(ElementwiseOp):
    """clip(round(x / scale), lo, hi), an integer. scale broadcasts against x and is never zero.

    NaN becomes 0 before clipping.
    mode: as of tn.round.
    """

    name = "tn.quantize"
    x = operand_def()
    scale = operand_def()
    lo = prop_def(IntegerAttr)
    hi = prop_def(IntegerAttr)
    mode = prop_def(StringAttr)
    y = result_def()
    IN_ORDER: ClassVar = True
    DEFAULTS: ClassVar = {"mode": "round"}

    def infer(self) -> Sequence[Tensor]:
        if not is_float(self.x) or not is_float(self.scale):
            raise fail(self, "operands", "f32", f"{element_of(self.x)}, {element_of(self.scale)}")
        if self.get("mode") not in ROUNDING_MODES:
            raise fail(self, "mode", ROUNDING_MODES, self.get("mode"))
        if self.get("lo") > self.get("hi"):
            raise fail(self, "lo", f"at most hi = {self.get('hi')}", self.get("lo"))
        shape = broadcast_shapes(self, shape_of(self.x), shape_of(self.scale))
        return [tensor_type(shape, int_type(self.get("lo"), self.get("hi")))]

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return np.sign(constant) if place == 0 and constant is not None else UNKNOWN


@irdl_op_definition
class DequantizeOp(ElementwiseOp):
    """float32(q) * scale; q and scale broadcast."""

    name = "tn.dequantize"
    q = operand_def()
    scale = operand_def()
    y = result_def()
    IN_ORDER: ClassVar = True

    def infer(self) -> Sequence[Tensor]:
        if is_float(self.q) or not is_float(self.scale):
            raise fail(
                self,
                "operands",
                "integers and an f32 scale",
                f"{element_of(self.q)}, {element_of(self.scale)}",
            )
        return [tensor_type(broadcast_shapes(self, shape_of(self.q), shape_of(self.scale)), f32)]

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return factor_direction(constant)


@irdl_op_definition
class RequantizeOp(ElementwiseOp):
    """clip(round(x * multiplier / divisor), lo, hi) in exact arithmetic: a quotient of integers, rounded once.

    x, multiplier, divisor: integers that broadcast; divisor is positive. |x * multiplier| and divisor stay below 2^51,
    so that the quotient in double precision rounds to the same whole number as the exact one.
    mode: as of tn.round.
    """

    name = "tn.requantize"
    x = operand_def()
    multiplier = operand_def()
    divisor = operand_def()
    lo = prop_def(IntegerAttr)
    hi = prop_def(IntegerAttr)
    mode = prop_def(StringAttr)
    y = result_def()
    DEFAULTS: ClassVar = {"mode": "round"}

    def infer(self) -> Sequence[Tensor]:
        if any(is_float(v) for v in self.operands):
            raise fail(self, "operands", "integers", ", ".join(str(element_of(v)) for v in self.operands))
        if self.get("mode") not in ROUNDING_MODES:
            raise fail(self, "mode", ROUNDING_MODES, self.get("mode"))
        lo, hi = self.get("lo"), self.get("hi")
        if lo > hi:
            raise fail(self, "lo", f"at most hi = {hi}", lo)
        x, multiplier, divisor = (range_of(element_of(v)) for v in self.operands)
        corners = [a * b for a in x for b in multiplier]
        if divisor[0] < 1 or max(divisor[1], *map(abs, corners)) >= QUOTIENT_LIMIT:
            raise fail(self, "operands", "a positive divisor, and numbers below 2^51", f"{corners}, {divisor}")
        least = min(c // d for c in corners for d in divisor)
        most = max(-(-c // d) for c in corners for d in divisor)
        shape = broadcast_shapes(self, shape_of(self.x), shape_of(self.multiplier))
        shape = broadcast_shapes(self, shape, shape_of(self.divisor))
        return [tensor_type(shape, int_type(*(min(max(v, lo), hi) for v in (least, most))))]

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN


def threshold_element(base: int, step: int, count: int) -> Element:
    """The values base, base + step, ..., base + count * step: a range for step 1, else a set."""
    if count == 0 or abs(step) == 1:
        return int_type(min(base, base + step * count), max(base, base + step * count))
    return set_type(base + step * i for i in range(count + 1))


@irdl_op_definition
class ThresholdOp(ElementwiseOp):
    """base + step * #{T in thresholds[c] : x >= T}, with c the index along `axis`; NaN passes no threshold.

    x: float or integer.
    thresholds: [C or 1, n], of the same kind as x, ascending along n.
    sign: [C or 1] of {-1, +1}. Where it is -1 the channel falls: base + step * (n - count), for a decreasing chain.

    With whole out_scale and out_bias this is MultiThreshold of QONNX.
    """

    name = "tn.threshold"
    x = operand_def()
    thresholds = operand_def()
    sign = opt_operand_def()
    axis = prop_def(IntegerAttr)
    base = prop_def(IntegerAttr)
    step = prop_def(IntegerAttr)
    y = result_def()
    MAPS: ClassVar = 1
    IN_ORDER: ClassVar = True

    def parameter_axis(self) -> int | None:
        return _table_axis(self)

    def infer(self) -> Sequence[Tensor]:
        x, t = shape_of(self.x), shape_of(self.thresholds)
        axis = normal_axis(self, self.get("axis"), max(len(x), 1))
        channels = x[axis] if x else 1
        if len(t) != 2 or t[0] not in (1, channels):
            raise fail(self, "thresholds", f"shape [{channels} or 1, n]", list(t))
        if is_float(self.thresholds) != is_float(self.x):
            raise fail(self, "thresholds", f"the kind of x, {element_of(self.x)}", element_of(self.thresholds))
        return [_levels(self, channels)]

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN if place else RISES * np.sign(self.get("step"))  # and turned round where sign is -1

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return PARAMETERS if any(per_sample[1:]) else ""


@irdl_op_definition
class SelectThresholdOp(ElementwiseOp):
    """base + step * #{T in thresholds[c, s - first] : x >= T}: a threshold whose table a second integer s selects.

    x: integers.
    selector: s, integers of x's shape in first..first + R - 1.
    thresholds: [C or 1, R, n], integers, ascending along n; c is the index along `axis`.
    sign: as of tn.threshold.

    A shortcut of few values that is added before a quantizer becomes this.
    """

    name = "tn.select_threshold"
    x = operand_def()
    selector = operand_def()
    thresholds = operand_def()
    sign = opt_operand_def()
    axis = prop_def(IntegerAttr)
    base = prop_def(IntegerAttr)
    step = prop_def(IntegerAttr)
    first = prop_def(IntegerAttr)
    y = result_def()
    MAPS: ClassVar = 2

    def parameter_axis(self) -> int | None:
        return _table_axis(self)

    def infer(self) -> Sequence[Tensor]:
        x, t = shape_of(self.x), shape_of(self.thresholds)
        axis = normal_axis(self, self.get("axis"), max(len(x), 1))
        channels = x[axis] if x else 1
        if any(is_float(v) for v in self.operands):
            raise fail(self, "operands", "integers", ", ".join(str(element_of(v)) for v in self.operands))
        if shape_of(self.selector) != x:
            raise fail(self, "selector", f"the shape of x, {list(x)}", list(shape_of(self.selector)))
        if len(t) != 3 or t[0] not in (1, channels):
            raise fail(self, "thresholds", f"shape [{channels} or 1, choices, n]", list(t))
        lo, hi = range_of(element_of(self.selector))
        first = self.get("first")
        if lo < first or hi >= first + t[1]:
            raise fail(self, "selector", f"{first}..{first + t[1] - 1}", f"{lo}..{hi}")
        return [_levels(self, channels)]

    def direction(self, place: int, constant: np.ndarray | None) -> np.ndarray:
        return UNKNOWN

    def mixes_samples(self, per_sample: Sequence[bool]) -> str:
        return PARAMETERS if any(per_sample[2:]) or not all(per_sample[:2]) else ""


def _levels(op: ThresholdOp | SelectThresholdOp, channels: int) -> Tensor:
    """The type of the result. Raises VerifyException for a sign or step that does not fit."""
    if (sign := op.sign) is not None and shape_of(sign) not in ((1,), (channels,)):
        raise fail(op, "sign", f"shape [{channels} or 1]", list(shape_of(sign)))
    if op.get("step") == 0:
        raise fail(op, "step", "not zero", 0)
    count = shape_of(op.thresholds)[-1]
    return tensor_type(shape_of(op.x), threshold_element(op.get("base"), op.get("step"), count))


def _table_axis(op: ThresholdOp | SelectThresholdOp) -> int | None:
    tables = [shape_of(op.thresholds)[0], *([] if op.sign is None else shape_of(op.sign))]
    return op.get("axis") % max(len(shape_of(op.x)), 1) if max(tables) > 1 else None


OPS = [QuantizeOp, DequantizeOp, RequantizeOp, ThresholdOp, SelectThresholdOp]
