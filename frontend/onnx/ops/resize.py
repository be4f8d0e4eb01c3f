"""Resize and Upsample."""

from __future__ import annotations

import numpy as np

from ...emitter import Emitter
from ...forms.resize import COORDINATES, CROP, ROUNDINGS, Factors, Method, resized
from ...values import Refusal, Value
from ..node import Node
from ..registry import imports

_F = np.float32
MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}


@imports("Resize")
def resize(e: Emitter, node: Node, x: Value, *inputs: Value | None) -> Value:
    """Opset 10: (x, scales); later (x, roi, scales, sizes), where one of scales and sizes is given."""
    mode = _mode(node)
    if node.opset < 11:
        return resized(e, x, _factors(e, node, x, inputs[0] if inputs else None), Method(mode))
    if node.int("antialias", 0):
        raise Refusal("antialias is not supported: resize without it, or by a convolution before")
    transform = node.text("coordinate_transformation_mode", "half_pixel")
    if transform not in (*COORDINATES, CROP):
        raise Refusal(f"coordinate_transformation_mode '{transform}' is not supported")
    roi, scales, sizes = (*inputs, None, None, None)[:3]
    rounding = node.text("nearest_mode", "round_prefer_floor")
    if rounding not in ROUNDINGS:
        raise node.error(f"attribute 'nearest_mode' has the unknown value '{rounding}'")
    by_sizes = sizes is not None and sizes.shape != (0,)
    factors = _from_sizes(e, node, x, sizes) if sizes is not None and by_sizes else _factors(e, node, x, scales)
    if transform == CROP and not by_sizes:
        raise Refusal(f"{CROP} with scales is not supported, only with sizes")
    method = Method(
        mode, transform, rounding, node.float("cubic_coeff_a", -0.75), bool(node.int("exclude_outside", 0)),
        _region(e, node, x, roi) if transform == CROP else {}, node.float("extrapolation_value", 0.0),
    )  # fmt: skip
    return resized(e, x, factors, method)


@imports("Upsample")
def upsample(e: Emitter, node: Node, x: Value, scales: Value | None = None) -> Value:
    """Scales are an attribute before opset 9, then an input."""
    if scales is None:
        scales = e.constant(np.array(node.floats("scales"), np.float32), "scales")
    return resized(e, x, _factors(e, node, x, scales), Method(_mode(node)))


def _mode(node: Node) -> str:
    mode = node.text("mode", "nearest")
    if mode not in MODES:
        raise Refusal(f"mode '{mode}' is not supported, only nearest, linear and cubic")
    return MODES[mode]


def _region(e: Emitter, node: Node, x: Value, roi: Value | None) -> dict[int, tuple[float, float]]:
    """Axis -> (begin, end)."""
    if roi is None:
        raise node.error("the region of interest is not given")
    values = e.known(roi, "the region of interest").astype(np.float64).reshape(-1)
    axes = _over(node, e, x, len(values) // 2)
    if len(values) % 2 or not np.isfinite(values).all():
        raise node.error(f"expected two finite numbers for each axis, got {values.tolist()}")
    return dict(zip(axes, zip(values[: len(axes)], values[len(axes) :], strict=True), strict=True))


def _over(node: Node, e: Emitter, x: Value, count: int) -> tuple[int, ...]:
    """The axes that scales or sizes are for."""
    axes = e.axes(node.ints("axes", range(x.rank)), x.rank)
    if count != len(axes):
        raise node.error(f"expected {len(axes)} scales or sizes, got {count}")
    return axes


def _factors(e: Emitter, node: Node, x: Value, scales: Value | None) -> Factors:
    """Axis -> (scale, output size) from scales."""
    if scales is None:
        raise node.error("neither scales nor sizes are given")
    values = e.known(scales, "the scales").astype(np.float32).reshape(-1)
    if not bool(np.all(np.isfinite(values) & (values > 0))):
        raise node.error(f"scales must be positive, got {values.tolist()}")
    axes = _over(node, e, x, len(values))
    return {a: (s, int(np.floor(_F(x.shape[a]) * s))) for a, s in zip(axes, values, strict=True)}


def _from_sizes(e: Emitter, node: Node, x: Value, sizes: Value) -> Factors:
    """Axis -> (scale, output size) from sizes, under the aspect ratio policy (opset 18)."""
    values = e.integers(sizes, "the sizes")
    axes = _over(node, e, x, len(values))
    if min(values, default=1) < 1 or any(not x.shape[a] for a in axes):
        raise node.error(f"sizes must be positive, got {list(values)}")
    policy = node.text("keep_aspect_ratio_policy", "stretch")
    ratios = [_F(v) / _F(x.shape[a]) for a, v in zip(axes, values, strict=True)]
    if policy == "stretch":
        return {a: (r, v) for a, r, v in zip(axes, ratios, values, strict=True)}
    if policy not in ("not_larger", "not_smaller"):
        raise node.error(f"attribute 'keep_aspect_ratio_policy' has the unknown value '{policy}'")
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    return {a: (scale, int(np.floor(scale * _F(x.shape[a]) + _F(0.5)))) for a in axes}
