"""Resize and Upsample, nearest and linear: one constant index vector for each axis, or two with their weights.

Coordinates are computed in float32 as onnxruntime does (core/providers/cpu/tensor/upsamplebase.h).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np

from ....ir.tn.elementwise import AddOp, MulOp
from ..emitter import Emitter, retyped
from ..node import Node
from ..registry import imports
from ..values import MAX_INDICES, Refusal, Value, element_of_onnx

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


_COORDINATES: dict[str, Callable[[np.ndarray, np.float32, int, int], np.ndarray]] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "tf_half_pixel_for_nn": lambda i, scale, size, out: (i + _F(0.5)) / scale,
    "align_corners": _align_corners,
    "asymmetric": lambda i, scale, size, out: i / scale,
}
"""coordinate_transformation_mode -> f(output indices, scale, input size, output size) in input coordinates."""

_NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - _F(0.5)),
    "round_prefer_ceil": lambda x: np.floor(x + _F(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


Factors: TypeAlias = "dict[int, tuple[np.float32, int]]"
"""Axis -> (scale, output size)."""


@imports("Resize")
def resize(e: Emitter, node: Node, x: Value, *inputs: Value | None) -> Value:
    """Opset 10: (x, scales); later (x, roi, scales, sizes), where one of scales and sizes is given."""
    linear = _is_linear(node)
    if node.opset < 11:
        factors = _factors(e, node, x, inputs[0] if inputs else None)
        return _resized(e, node, x, factors, "asymmetric", "floor", linear=linear)
    if node.int("antialias", 0):
        raise Refusal("antialias is not supported")
    transform = node.text("coordinate_transformation_mode", "half_pixel")
    if transform not in _COORDINATES:
        raise Refusal(f"coordinate_transformation_mode '{transform}' is not supported")
    _, scales, sizes = (*inputs, None, None, None)[:3]
    rounding = node.text("nearest_mode", "round_prefer_floor")
    if rounding not in _NEAREST:
        raise node.error(f"attribute 'nearest_mode' has the unknown value '{rounding}'")
    if sizes is not None and sizes.shape != (0,):
        factors = _from_sizes(e, node, x, sizes)
    else:
        factors = _factors(e, node, x, scales)
    return _resized(e, node, x, factors, transform, rounding, linear=linear)


@imports("Upsample")
def upsample(e: Emitter, node: Node, x: Value, scales: Value | None = None) -> Value:
    """Scales are an attribute before opset 9, then an input."""
    if scales is None:
        scales = e.constant(np.array(node.floats("scales"), np.float32), "scales")
    factors = _factors(e, node, x, scales)
    return _resized(e, node, x, factors, "asymmetric", "floor", linear=_is_linear(node))


def _is_linear(node: Node) -> bool:
    """False for nearest. Raises Refusal for other modes."""
    mode = node.text("mode", "nearest")
    if mode not in ("nearest", "linear", "bilinear"):
        raise Refusal(f"mode '{mode}' is not supported, only nearest and linear")
    return mode != "nearest"


def _over(node: Node, e: Emitter, x: Value, count: int) -> tuple[int, ...]:
    """The axes that scales or sizes are for."""
    axes = e.axes(node.ints("axes", range(x.rank)), x.rank)
    if count != len(axes):
        raise node.error(f"want {len(axes)} scales or sizes, have {count}")
    return axes


def _factors(e: Emitter, node: Node, x: Value, scales: Value | None) -> Factors:
    """Axis -> (scale, output size) from scales."""
    if scales is None:
        raise node.error("neither scales nor sizes are given")
    values = e.known(scales, "the scales").astype(np.float32).reshape(-1)
    if not bool(np.all(np.isfinite(values) & (values > 0))):
        raise node.error(f"scales must be positive, have {values.tolist()}")
    axes = _over(node, e, x, len(values))
    return {a: (s, int(np.floor(_F(x.shape[a]) * s))) for a, s in zip(axes, values, strict=True)}


def _from_sizes(e: Emitter, node: Node, x: Value, sizes: Value) -> Factors:
    """Axis -> (scale, output size) from sizes, under the aspect ratio policy (opset 18)."""
    values = e.integers(sizes, "the sizes")
    axes = _over(node, e, x, len(values))
    if min(values, default=1) < 1 or any(not x.shape[a] for a in axes):
        raise node.error(f"sizes must be positive, have {list(values)}")
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    ratios = [_F(v) / _F(x.shape[a]) for a, v in zip(axes, values, strict=True)]
    if policy == "stretch":
        return {a: (r, v) for a, r, v in zip(axes, ratios, values, strict=True)}
    if policy not in ("not_larger", "not_smaller"):
        raise node.error(f"attribute 'keep_aspect_ratio_policy' has the unknown value '{policy}'")
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return {a: (scale, int(np.floor(scale * _F(x.shape[a]) + _F(0.5)))) for a in axes}


def _resized(
    e: Emitter, node: Node, x: Value, factors: Factors, transform: str, rounding: str, *, linear: bool
) -> Value:
    shape: Sequence[int] = [factors[a][1] if a in factors else d for a, d in enumerate(x.shape)]
    e.check_size(shape)
    if max(shape, default=0) > MAX_INDICES:
        raise node.error(f"its result has the absurd shape {list(shape)}", hint=f"axes of up to {MAX_INDICES} are made")
    scaled = {axis: f for axis, f in sorted(factors.items()) if f != (1, x.shape[axis])}
    if linear and scaled and not x.is_float:
        scaled = _of_integers(x, scaled)
    at: dict[int, np.ndarray] = {}
    for axis, (scale, out) in sorted(scaled.items()):
        e.keep_batch(x, axis)
        if not x.shape[axis] and out:
            raise node.error(f"axis {axis} is empty")
        at[axis] = _COORDINATES[transform](np.arange(out, dtype=np.float32), scale, x.shape[axis], out)
    if linear:
        return _linear(e, x, at)
    for axis, coordinates in at.items():
        indices = np.clip(_NEAREST[rounding](coordinates), 0, max(x.shape[axis] - 1, 0)).astype(np.int64)
        x = e.take(x, indices, axis, suffix=f"axis{axis}")
    return x


def _of_integers(x: Value, scaled: Factors) -> Factors:
    """All axes that onnxruntime interpolates.

    Integers truncate, so every rounding of the sum counts; and behind the last index of an axis, though its scale is 1,
    lie two halves of the same point. Raises Refusal for bytes with channels last: onnxruntime interpolates them with
    weights in units of 2^-10.
    """
    channels_last = x.rank == 4 and 1 in scaled
    if channels_last and x.dtype.itemsize == 1:
        raise Refusal("linear interpolation of 8-bit integers with channels last is not supported: transpose them")
    axes = range(1, 3) if channels_last else range(x.rank)[-3 if x.rank in (3, 5) else -2 :]
    return {axis: (_F(1), x.shape[axis]) for axis in axes} | scaled


def _linear(e: Emitter, x: Value, at: dict[int, np.ndarray]) -> Value:
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
    return retyped(total, x.dtype) if x.is_float else e.cast(total, element_of_onnx(x.dtype), x.dtype)


def _corners(at: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The indices of the near and the far neighbour of each coordinate, and their weights in float32."""
    near = np.minimum(at.astype(np.int64), size - 1)
    far = np.minimum(near + 1, size - 1)
    to_near, to_far = np.abs(at - near.astype(np.float32)), np.abs(at - far.astype(np.float32))
    same = near == far
    return [(near, np.where(same, _F(0.5), to_far)), (far, np.where(same, _F(0.5), to_near))]
