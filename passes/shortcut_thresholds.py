"""A shortcut that is added to quantized sums before a clip selects among rows of thresholds.

What a residual block on an integer grid becomes: `clip(threshold(sums) + shortcut)` steps where the threshold does, one
level later for each level that the shortcut is lower. All in integers, so nothing is evaluated.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..ir.locations import fused_location
from ..ir.program import Program
from ..ir.rewrite import constant_before, insert, name_of, replace, sole_user
from ..ir.tn.elementwise import AddOp, ClipOp
from ..ir.tn.linear import ConvOp, MatMulOp
from ..ir.tn.quant import SelectThresholdOp, ThresholdOp
from ..ir.types import element_of, is_float, range_of, shape_of


def to_selected_levels(program: Program, op: Operation, *, most_levels: int, most_choices: int) -> bool:
    """Rewrites the clip of a sum of two integer tensors: of a threshold (of the sums of a product, in steps of 1, used
    here alone), and of one with at most `most_choices` values; unless more than `most_levels` steps lie between the
    bounds. What it selects from is int32."""
    assert isinstance(op, ClipOp)
    add = op.x.owner
    if not isinstance(add, AddOp) or is_float(op.x) or sole_user(op.x) is None:
        return False
    levels, shortcut = add.operands if _is_moved(add.operands[0]) else add.operands[::-1]
    if not _is_moved(levels) or shape_of(shortcut) != shape_of(levels):
        return False
    threshold = levels.owner
    assert isinstance(threshold, ThresholdOp)
    (low, high), (first, last) = (range_of(element_of(v)) for v in (op.results[0], shortcut))
    table, sign = program.array(threshold.thresholds), None
    if table is None or not 1 <= high - low <= most_levels or last - first >= most_choices:
        return False
    if threshold.sign is not None and (sign := program.array(threshold.sign)) is None:
        return False
    sums = range_of(element_of(threshold.x))
    if not -(2**31) <= sums[0] <= sums[1] < 2**31 - 1:
        return False
    lowest = [low - value - threshold.get("base") for value in range(first, last + 1)]
    thresholds = np.stack([moved(table, sign, sums, one, high - low) for one in lowest], axis=1)
    name = name_of(op.results[0], "threshold")
    operands = [threshold.x, shortcut, constant_before(program, op, f"{name}.thresholds", thresholds)]
    if sign is not None:
        operands.append(constant_before(program, op, f"{name}.sign", sign))
    at = fused_location(*(one.location for one in (threshold, add, op)))
    axis = threshold.get("axis")
    new = SelectThresholdOp.make(*operands, axis=axis, base=low, step=1, first=first, at=at)
    return replace(op, insert(op, new))


def _is_moved(value: SSAValue) -> bool:
    """Whether the value is a threshold that a sum with it can become."""
    op = value.owner
    if not isinstance(op, ThresholdOp) or op.get("step") != 1 or sole_user(value) is None:
        return False
    return isinstance(op.x.owner, ConvOp | MatMulOp) and not is_float(op.x)


def moved(table: np.ndarray, sign: np.ndarray | None, sums: tuple[int, int], lowest: int, steps: int) -> np.ndarray:
    """Thresholds int32 [C, steps] of `clip(index - lowest, 0, steps)`, where table [C, n] and sign give sums of that
    range their level index (tn.threshold). A step that always happens, or never, gets a threshold at the lower end of
    the range or above it; with sign -1 the other way round."""
    low, high = (np.full((len(table), 1), end) for end in (sums[0], sums[1] + 1))
    padded = np.concatenate([low, np.clip(table, low, high), high], axis=1).astype(np.int32)
    count, step = table.shape[1], np.arange(steps)
    rising = padded[:, np.clip(step + lowest + 1, 0, count + 1)]
    if sign is None:
        return rising
    falling = padded[:, np.clip(step + count - steps - lowest + 1, 0, count + 1)]  # counted from the other end
    return np.where(sign.reshape(-1, 1) > 0, rising, falling)
