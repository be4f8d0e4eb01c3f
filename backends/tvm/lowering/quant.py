"""Thresholds: how many of a channel's bounds each number passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ir.tn.quant import SelectThresholdOp, ThresholdOp
from ....ir.types import shape_of
from ..context import Context, dtype_of
from ..package import Expr, Scalar, Tensor, te, tirx
from .rules import relax_of, wide


@relax_of(ThresholdOp)
def threshold(context: Context, op: ThresholdOp, x: Expr, bounds: Expr, sign: Expr | None = None) -> Expr:
    channels, count = shape_of(op.thresholds)
    axis, exact = op.get("axis"), wide([op.x, op.thresholds])

    def compute(x: Tensor, bounds: Tensor, *signs: Tensor) -> Tensor:
        def element(*at: Any) -> Any:
            channel = at[axis] if channels > 1 and at else 0
            value = in_type(x(*at), exact)
            passed = tirx.const(0, "int32")
            for i in range(count):
                passed += (value >= in_type(bounds(channel, i), exact)).astype("int32")
            return _level(op, passed, count, [_of_channel(each, at, axis) for each in signs])

        return te.compute(shape_of(op.y), element)

    return context.emit_te(compute, x, bounds, *([] if sign is None else [sign]))


@relax_of(SelectThresholdOp)
def select_threshold(
    context: Context, op: SelectThresholdOp, x: Expr, selector: Expr, bounds: Expr, sign: Expr | None = None
) -> Expr:
    channels, choices, count = shape_of(op.thresholds)
    axis, exact = op.get("axis"), wide([op.x, op.thresholds])

    def compute(x: Tensor, selector: Tensor, bounds: Tensor, *signs: Tensor) -> Tensor:
        def element(*at: Any) -> Any:
            channel = at[axis] if channels > 1 else 0
            value = in_type(x(*at), exact)
            selected = selector(*at).astype("int32") - op.get("first")
            passed = tirx.const(0, "int32")
            for choice in range(choices):  # compared with each: a bound that is looked up could not be a vector's
                chosen = (selected == choice).astype("int32")
                for i in range(count):
                    passed += chosen & (value >= in_type(bounds(channel, choice, i), exact)).astype("int32")
            return _level(op, passed, count, [_of_channel(each, at, axis) for each in signs])

        return te.compute(shape_of(op.y), element)

    return context.emit_te(compute, x, selector, bounds, *([] if sign is None else [sign]))


def _level(op: ThresholdOp | SelectThresholdOp, passed: Scalar, count: int, signs: Sequence[Scalar]) -> Scalar:
    """The result for a number that has passed so many of the bounds. signs: of its channel, at most one."""
    for sign in signs:
        flip = sign < tirx.const(0, sign.ty.dtype)
        passed = tirx.Select(flip, tirx.const(count, "int32") - passed, passed)
    level = tirx.const(op.get("step"), "int32") * passed + tirx.const(op.get("base"), "int32")
    return level.astype(dtype_of(op.y))


def in_type(value: Any, exact: str) -> Any:
    """Integers in a type that holds all of those compared; floats as they are."""
    return value if value.ty.dtype == "float32" else value.astype(exact)


def _of_channel(sign: Tensor, at: tuple[Any, ...], axis: int) -> Any:
    return sign(at[axis] if int(sign.shape[0]) > 1 and at else 0)
