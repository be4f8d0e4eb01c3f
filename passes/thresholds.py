"""Exact integer thresholds (design contract 4).

Between an integer accumulator and the next quantizer lies a chain of float32 steps: scale, bias, batch norm,
activation. The chain is evaluated on integers of the accumulator's range (monotone_chain.py), and the accumulator
values at which the quantized level changes become integer thresholds. A chain with a step that is not known to be
monotone is left in float.

Where a shortcut of few values is added on the way (a ternary tensor, say), each of its values has its own thresholds:
tn.select_threshold. So no float tensor is left in a residual block whose shortcut is quantized.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation

from ..ir.locations import fused_location
from ..ir.program import Program
from ..ir.rewrite import Rules, constant_before, insert, name_of, replace
from ..ir.tn.elementwise import ClipOp
from ..ir.tn.linear import ConvOp, MatMulOp
from ..ir.tn.quant import QuantizeOp, SelectThresholdOp, ThresholdOp
from ..ir.types import element_of, is_float, range_of
from .base import RewritePass
from .monotone_chain import Step, find_chain, find_fork, integer_thresholds, levels_of
from .properties import NO_KERNELS
from .shortcut_thresholds import to_selected_levels


def to_integer_threshold(program: Program, op: Operation, *, most_levels: int) -> bool:
    """A chain from an integer tensor to at most `most_levels` levels above the lowest is a threshold."""
    if not is_float(op.operands[0]):
        return False
    levels = levels_of(op)
    chain = find_chain(program, op) if 1 <= levels.count <= most_levels else None
    found = None if chain is None else integer_thresholds(chain, levels)
    if chain is None or found is None:
        return False
    thresholds, sign = found
    name = name_of(op.results[0], "threshold")
    operands = [chain.source, constant_before(program, op, f"{name}.thresholds", narrow(thresholds))]
    if (sign < 0).any():
        operands.append(constant_before(program, op, f"{name}.sign", sign.astype(np.int8)))
    at = fused_location(*(step.op.location for step in chain.steps))
    axis = 1 if chain.axis is None else chain.axis
    new = ThresholdOp.make(*operands, axis=axis, base=levels.base, step=levels.step, at=at)
    return replace(op, insert(op, new))


def to_select_threshold(program: Program, op: Operation, *, most_levels: int, most_choices: int) -> bool:
    """The same where a shortcut of at most `most_choices` values is added on the way."""
    if not is_float(op.operands[0]):
        return False
    levels = levels_of(op)
    fork = find_fork(program, op, most_choices) if 1 <= levels.count <= most_levels else None
    if fork is None or not isinstance(fork.main.source.owner, ConvOp | MatMulOp):
        return False
    lo, hi = range_of(element_of(fork.other.source))
    chains = [fork.chain(value) for value in range(lo, hi + 1)]
    found = [None if chain is None else integer_thresholds(chain, levels) for chain in chains]
    tables = [pair for pair in found if pair is not None]
    if len(tables) < len(found) or chains[0] is None:
        return False
    sign = tables[0][1]  # the values of the shortcut are added: they turn no channel round
    name = name_of(op.results[0], "threshold")
    thresholds = narrow(np.stack([table for table, _ in tables], axis=1))
    operands = [fork.main.source, fork.other.source, constant_before(program, op, f"{name}.thresholds", thresholds)]
    if (sign < 0).any():
        operands.append(constant_before(program, op, f"{name}.sign", sign.astype(np.int8)))
    steps = (*fork.main.steps, Step(fork.join, None), *fork.after)
    axis = 1 if chains[0].axis is None else chains[0].axis
    new = SelectThresholdOp.make(
        *operands, axis=axis, base=levels.base, step=levels.step, first=lo,
        at=fused_location(*(step.op.location for step in steps)),
    )  # fmt: skip
    return replace(op, insert(op, new))


def narrow(array: np.ndarray) -> np.ndarray:
    """int32 where the values fit, which they do for every accumulator an engine takes."""
    info = np.iinfo(np.int32)
    return array.astype(np.int32) if array.min() >= info.min and array.max() <= info.max else array


@dataclass(frozen=True)
class Thresholds(RewritePass):
    """Chains from an integer accumulator through float steps to a quantizer become integer thresholds.

    most_levels: of a quantizer, above its lowest. most_choices: values of a shortcut that is added on the way.
    """

    name: ClassVar[str] = "thresholds"
    requires: ClassVar = (NO_KERNELS,)

    most_levels: int = 15
    most_choices: int = 4

    def rules(self) -> Rules:
        both = {"most_levels": self.most_levels, "most_choices": self.most_choices}
        quantizers = (
            partial(to_integer_threshold, most_levels=self.most_levels),
            partial(to_select_threshold, **both),
        )
        return {QuantizeOp: quantizers, ThresholdOp: quantizers, ClipOp: (partial(to_selected_levels, **both),)}
