"""Upsampling. Coordinates are computed in float32, as torch does (aten/src/ATen/native/UpSample.h)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...emitter import Emitter
from ...forms.resize import Method, interpolated
from ...values import MAX_INDICES, Refusal, Value
from ..node import TorchNode
from ..registry import imports

_F = np.float32


def _out_sizes(
    e: Emitter, x: Value, rank: int, sizes: Sequence[int] | None, scales: Sequence[float] | None
) -> list[int]:
    found = sizes if sizes is not None else [int(d * s) for d, s in zip(x.shape[-rank:], scales or (), strict=True)]
    if len(found) != rank or min(found) < 1 or max(found) > MAX_INDICES or 0 in x.shape:
        raise e.node.error(f"a tensor of shape {list(x.shape)} cannot be resized to {list(found)}")
    return list(found)


def _upsampled(
    e: Emitter,
    node: TorchNode,
    x: Value,
    sizes: Sequence[int] | None,
    scales: Sequence[float | None] | None,
    *,
    align_corners: bool = False,
) -> Value:
    """x resized along its spatial axes. scales: of the axes, None where the sizes say it."""
    name = node.op_type
    rank = int(name.rstrip("d")[-1])
    given = [None] * rank if scales is None else list(scales)
    out = _out_sizes(e, x, rank, sizes, None if None in given else given)  # pyright: ignore[reportArgumentType]
    e.check_size((*x.shape[:-rank], *out))
    mode = "nearest" if "nearest" in name else "cubic" if "cubic" in name else "linear"
    at: dict[int, np.ndarray] = {}
    for axis, (o, s) in enumerate(zip(out, given, strict=True), start=x.rank - rank):
        n, i = x.shape[axis], np.arange(o, dtype=np.float32)
        if align_corners:
            at[axis] = i * (_F(n - 1) / _F(o - 1) if o > 1 else _F(0))
            continue
        step = _F(1.0 / s) if s else _F(n) / _F(o)
        if mode == "nearest":
            at[axis] = (i + _F(0.5)) * step if "exact" in name else i * step
        else:
            at[axis] = step * (i + _F(0.5)) - _F(0.5)
    if mode != "nearest" and not x.is_float:
        raise Refusal(f"{name} of {x.dtype.name} tensors is not supported")
    return interpolated(e, x, at, Method(mode))


_NEAREST = [f"{name}{r}d" for name in ("upsample_nearest", "_upsample_nearest_exact") for r in (1, 2)]


@imports(*(f"{name}.vec" for name in _NEAREST))
def nearest(
    e: Emitter, node: TorchNode, x: Value, output_size: Sequence[int] | None, scale_factors: Sequence[float] | None
) -> Value:
    return _upsampled(e, node, x, output_size, scale_factors)


@imports(*(f"{name}.default" for name in _NEAREST))
def nearest_to(e: Emitter, node: TorchNode, x: Value, output_size: Sequence[int], *scales: float | None,
               **named: float | None) -> Value:  # fmt: skip
    return _upsampled(e, node, x, output_size, _scales(output_size, scales, named))


_LINEAR = ("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d")


@imports(*(f"{name}.vec" for name in _LINEAR))
def linear(
    e: Emitter,
    node: TorchNode,
    x: Value,
    output_size: Sequence[int] | None,
    align_corners: bool,
    scale_factors: Sequence[float] | None,
) -> Value:
    return _upsampled(e, node, x, output_size, scale_factors, align_corners=align_corners)


@imports(*(f"{name}.default" for name in _LINEAR))
def linear_to(e: Emitter, node: TorchNode, x: Value, output_size: Sequence[int], align_corners: bool,
              *scales: float | None, **named: float | None) -> Value:  # fmt: skip
    return _upsampled(e, node, x, output_size, _scales(output_size, scales, named), align_corners=align_corners)


def _scales(sizes: Sequence[int], scales: Sequence[float | None], named: dict[str, float | None]) -> list[float | None]:
    found = [*scales, *(named[n] for n in ("scales", "scales_h", "scales_w") if n in named)]
    return found + [None] * (len(sizes) - len(found))
