"""Elements picked along axes, and borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...ir.tn.movement import PadOp
from ..emitter import Emitter
from ..values import MAX_INDICES, Refusal, Value

_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
"""Mode -> numpy.pad mode; constant is tn.pad."""


def picked(e: Emitter, x: Value, indices: Mapping[int, np.ndarray]) -> Value:
    """x's elements at indices along several axes, those that make it smaller first."""
    for axis, at in sorted(indices.items(), key=lambda item: len(item[1])):
        e.keep_batch(x, axis)
        if len(at) > MAX_INDICES:
            raise e.node.error(f"axis {axis} of size {len(at)} is absurd", hint=f"axes of up to {MAX_INDICES} are made")
        x = e.take(x, at, axis, suffix=f"axis{axis}")
    return x


def padded(e: Emitter, x: Value, begins: Sequence[int], ends: Sequence[int], mode: str, fill: float) -> Value:
    """x with a border; negative amounts are cut off first."""
    cut = [max(-b, 0) for b in begins]
    sizes = [d + min(b, 0) + min(n, 0) for d, b, n in zip(x.shape, begins, ends, strict=True)]
    if min(sizes, default=0) < 0:
        raise e.node.error(f"negative pads cut more than the tensor {list(x.shape)} has")
    x = e.slice(x, [c if s else 0 for c, s in zip(cut, sizes, strict=True)], sizes, (1,) * x.rank)
    begins, ends = [max(b, 0) for b in begins], [max(n, 0) for n in ends]
    e.check_size([d + b + n for d, b, n in zip(sizes, begins, ends, strict=True)])
    if mode == "constant":
        return e.op(PadOp, x, pads=(*begins, *ends), value=fill) if any((*begins, *ends)) else x
    if mode not in _MODES:
        raise Refusal(f"mode '{mode}' is not supported")
    for axis, (b, n) in enumerate(zip(begins, ends, strict=True)):
        if not (b or n):
            continue
        if x.shape[axis] + b + n > MAX_INDICES:
            raise e.node.error(f"the pads {b} and {n} are absurd in mode '{mode}'")
        if not x.shape[axis] or (mode == "reflect" and max(b, n) >= x.shape[axis]):
            raise e.node.error(f"pads of {b} and {n} do not fit axis {axis} of size {x.shape[axis]} in mode '{mode}'")
        indices = np.pad(np.arange(x.shape[axis]), (b, n), mode=_MODES[mode])  # type: ignore[call-overload]
        x = e.take(x, indices, axis, suffix=f"axis{axis}")
    return x
