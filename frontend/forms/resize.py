"""Resizing: for each axis one constant index vector (nearest), or two or four with weights (linear, cubic).

Coordinates are computed in float32 as onnxruntime does (core/providers/cpu/tensor/upsamplebase.h).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

import numpy as np

from ...ir.tn.elementwise import AddOp, MulOp
from ...ir.tn.logic import SelectOp
from ..emitter import Emitter, retyped
from ..values import MAX_INDICES, Refusal, Value, element_for

_F = np.float32


def _half_pixel(i: np.ndarray, scale: np.float32, size: int, out: int) -> np.ndarray:
    return (i + _F(0.5)) / scale - _F(0.5)


def _pytorch_half_pixel(i: np.ndarray, scale: np.float32, size: int, out: int) -> np.ndarray:
    return _half_pixel(i, scale, size, out) if out > 1 else np.zeros_like(i)


def _align_corners(i: np.ndarray, scale: np.float32, size: int, out: int) -> np.ndarray:
    return i * _F(size - 1) / _F(out - 1) if out > 1 else np.zeros_like(i)


def _half_pixel_symmetric(i: np.ndarray, scale: np.float32, size: int, out: int) -> np.ndarray:
    # In float64: at the centre, where rounding ties, float32 noise would decide.
    adjustment = out / (float(scale) * size)
    offset = size / 2 * (1 - adjustment)
    return offset + (i.astype(np.float64) + 0.5) / float(scale) - 0.5


COORDINATES: dict[str, Callable[[np.ndarray, np.float32, int, int], np.ndarray]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "tf_half_pixel_for_nn": lambda i, scale, size, out: (i + _F(0.5)) / scale,
    "align_corners": _align_corners,
    "asymmetric": lambda i, scale, size, out: i / scale,
}
"""coordinate_transformation_mode -> f(output indices, scale, input size, output size) in input coordinates."""

ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - _F(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + _F(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


Factors: TypeAlias = "dict[int, tuple[np.float32, int]]"
"""Axis -> (scale, output size)."""

CROP = "tf_crop_and_resize"


@dataclass(frozen=True)
class Method:
    """How a value follows from its coordinates. transform: a key of COORDINATES, or CROP with the region of each axis
    (begin, end) as a share of it; rounding: for nearest; a, exclude: for cubic, see `_taps`; outside: what stands where
    a coordinate leaves x, with CROP."""

    mode: str
    transform: str = "asymmetric"
    rounding: str = "floor"
    a: float = -0.75
    exclude: bool = False
    region: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    outside: float = 0.0

    def coordinates(self, axis: int, scale: np.float32, size: int, out: int) -> np.ndarray:
        """Of the outputs along an axis, in the input."""
        i = np.arange(out, dtype=np.float32)
        if self.transform != CROP:
            return COORDINATES[self.transform](i, scale, size, out)
        begin, end = (_F(v) for v in self.region.get(axis, (0.0, 1.0)))
        if out == 1:
            return np.full(1, _F(0.5) * (begin + end) * _F(size - 1), np.float32)
        return begin * _F(size - 1) + i * (end - begin) * _F(size - 1) / _F(out - 1)


def resized(e: Emitter, x: Value, factors: Factors, method: Method) -> Value:
    """x with some axes resized. Raises Refusal where integers are not interpolated exactly as onnxruntime does."""
    shape: Sequence[int] = [factors[a][1] if a in factors else d for a, d in enumerate(x.shape)]
    e.check_size(shape)
    if max(shape, default=0) > MAX_INDICES:
        raise e.node.error(
            f"its result has the absurd shape {list(shape)}", hint=f"axes of up to {MAX_INDICES} are made"
        )
    # an axis whose scale is 1 stays as it is, with a region too, as in onnxruntime
    scaled = {axis: f for axis, f in sorted(factors.items()) if f != (1, x.shape[axis])}
    if method.mode == "linear" and scaled and not x.is_float:
        scaled = _of_integers(x, scaled)
    if method.mode == "cubic" and scaled and not x.is_float:
        raise Refusal(f"cubic interpolation of {x.dtype.name} tensors is not supported")
    at: dict[int, np.ndarray] = {}
    for axis, (scale, out) in sorted(scaled.items()):
        e.keep_batch(x, axis)
        if not x.shape[axis] and out:
            raise e.node.error(f"axis {axis} is empty")
        at[axis] = method.coordinates(axis, scale, x.shape[axis], out)
    y = interpolated(e, x, at, method)
    return _with_border(e, x, y, at, method) if method.transform == CROP else y


def interpolated(e: Emitter, x: Value, at: Mapping[int, np.ndarray], method: Method) -> Value:
    """x at coordinates along some axes."""
    return {"nearest": _nearest, "linear": _linear, "cubic": _cubic}[method.mode](e, x, at, method)


def _with_border(e: Emitter, x: Value, y: Value, at: Mapping[int, np.ndarray], method: Method) -> Value:
    """The value `outside` where a coordinate along any axis leaves x."""
    beyond = np.zeros((1,) * x.rank, bool)
    for axis, coordinates in at.items():
        leaves = (coordinates < 0) | (coordinates > x.shape[axis] - 1)
        beyond = beyond | leaves.reshape([-1 if a == axis else 1 for a in range(x.rank)])
    if not beyond.any():
        return y
    value = e.constant(np.asarray(method.outside).astype(x.dtype), "outside")
    return e.op(SelectOp, e.constant(beyond.astype(np.int64), "beyond"), value, y, dtype=x.dtype)


def _nearest(e: Emitter, x: Value, at: Mapping[int, np.ndarray], method: Method) -> Value:
    for axis, coordinates in at.items():
        indices = np.clip(ROUNDINGS[method.rounding](coordinates), 0, max(x.shape[axis] - 1, 0)).astype(np.int64)
        x = e.take(x, indices, axis, suffix=f"axis{axis}")
    return x


def _cubic(e: Emitter, x: Value, at: Mapping[int, np.ndarray], method: Method) -> Value:
    """The weighted sum of four neighbours along one axis after the other."""
    y = e.to_float(x)
    for axis, coordinates in sorted(at.items(), reverse=True):
        along = [-1 if a == axis else 1 for a in range(x.rank)]
        total: Value | None = None
        for indices, weights in _taps(coordinates, x.shape[axis], method.a, exclude=method.exclude):
            part = e.take(y, indices, axis, suffix=f"axis{axis}")
            term = e.op(MulOp, part, e.constant(weights.reshape(along), "weights"))
            total = term if total is None else e.op(AddOp, total, term)
        assert total is not None
        y = total
    return retyped(y, x.dtype)


def _taps(at: np.ndarray, size: int, a: float, *, exclude: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each of four neighbours its indices and float32 weights: Keys' cubic kernel with the coefficient a.
    exclude: a neighbour outside of the axis has the weight 0, and the others add up to 1; else the border's value."""
    base = np.floor(at).astype(np.int64)
    t = np.asarray(at, np.float64) - base

    def near(d: np.ndarray) -> np.ndarray:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: np.ndarray) -> np.ndarray:
        return ((d - 5) * d + 8) * d * a - 4 * a

    weights = np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])
    indices = base + np.arange(-1, 3)[:, None]
    if exclude:
        weights = np.where((indices >= 0) & (indices < size), weights, 0)
        weights = weights / weights.sum(axis=0)
    return list(zip(np.clip(indices, 0, max(size - 1, 0)), weights.astype(np.float32), strict=True))


def _of_integers(x: Value, scaled: Factors) -> Factors:
    """All axes that onnxruntime interpolates.

    Integers truncate, so every rounding of the sum counts; and after the last index of an axis, though its scale is 1,
    lie two halves of the same point. Raises Refusal for bytes with channels last: onnxruntime interpolates them with
    weights in units of 2^-10.
    """
    channels_last = x.rank == 4 and 1 in scaled
    if channels_last and x.dtype.itemsize == 1:
        raise Refusal("linear interpolation of 8-bit integers with channels last is not supported: transpose them")
    axes = range(1, 3) if channels_last else range(x.rank)[-3 if x.rank in (3, 5) else -2 :]
    return {axis: (_F(1), x.shape[axis]) for axis in axes} | scaled


def _linear(e: Emitter, x: Value, at: Mapping[int, np.ndarray], method: Method) -> Value:
    """The weighted sum of the corners around each point, in onnxruntime's order: of the last axis the near corner
    first, then the far one, for the near and then the far one of the axis before; a weight is the product of those of
    the axes, the last one first. Integers truncate."""
    if not at:
        return x
    corners: list[tuple[Value, list[np.ndarray]]] = [(e.to_float(x), [])]
    for axis, coordinates in sorted(at.items()):
        sides = _corners(np.clip(coordinates, 0, x.shape[axis] - 1).astype(np.float32), x.shape[axis])
        along = [len(coordinates) if a == axis else 1 for a in range(x.rank)]
        corners = [
            (e.take(part, indices, axis, suffix=f"axis{axis}"), [weights.astype(np.float32).reshape(along), *others])
            for part, others in corners
            for indices, weights in sides
        ]
    total: Value | None = None
    for part, weights in corners:
        term = e.op(MulOp, part, e.constant(reduce(np.multiply, weights), "weights"))
        total = term if total is None else e.op(AddOp, total, term)
    assert total is not None
    return retyped(total, x.dtype) if x.is_float else e.cast(total, element_for(x.dtype), x.dtype)


def _corners(at: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The indices of the near and the far neighbour of each coordinate, and their weights in float32."""
    near = np.minimum(at.astype(np.int64), size - 1)
    far = np.minimum(near + 1, size - 1)
    to_near, to_far = np.abs(at - near.astype(np.float32)), np.abs(at - far.astype(np.float32))
    same = near == far
    return [(near, np.where(same, _F(0.5), to_far)), (far, np.where(same, _F(0.5), to_near))]
