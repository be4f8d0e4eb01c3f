"""Shape arithmetic shared by the operations' inference."""

from __future__ import annotations

from collections.abc import Sequence

from ..operation import TensorOperation, fail


def broadcast_shapes(op: TensorOperation, *shapes: Sequence[int]) -> tuple[int, ...]:
    """The numpy broadcast of several shapes. Raises VerifyException where they do not fit."""
    out: list[int] = []
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        sizes = {s[-axis] for s in shapes if len(s) >= axis} - {1}
        if len(sizes) > 1:
            raise fail(op, "operands", "shapes that broadcast", [list(s) for s in shapes])
        out.append(sizes.pop() if sizes else 1)
    return tuple(reversed(out))


def normal_axis(op: TensorOperation, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise fail(op, "axis", f"-{rank} <= axis < {rank}", axis)
    return axis % rank


def window_output(op: TensorOperation, size: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
    """Output sizes of a sliding window with the op's strides, pads (begins, then ends) and dilations."""
    rank = len(size)
    strides, pads, dilations = op.get("strides"), op.get("pads"), op.get("dilations")
    out = []
    for i in range(rank):
        span = size[i] + pads[i] + pads[i + rank] - dilations[i] * (kernel[i] - 1) - 1
        if span < 0:
            raise fail(op, "kernel", f"no larger than the padded input {list(size)}", list(kernel))
        out.append(span // strides[i] + 1)
    return tuple(out)
