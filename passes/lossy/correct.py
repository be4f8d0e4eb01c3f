"""Matches the moments of a changed layer's output channels to the float network's.

With batch norm after the layer this is batch-norm re-estimation: its mean and variance are set so that its output has
the float network's mean and deviation. Without, it is bias correction: a bias for the mean, and the weights' scales for
the deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ir.program import Program
from ...ir.rewrite import constant_before, insert, name_of, replace
from ...ir.tn.elementwise import AddOp
from ...ir.tn.linear import BatchNormOp, ConvOp, MatMulOp
from .statistics import moments
from .walk import Samples

SMALLEST = 1e-6
LARGEST_RATIO = 4.0
"""Deviations are not corrected by more than this factor; where one is below SMALLEST of the largest, not at all."""


@dataclass(frozen=True)
class Correction:
    """For each output channel float64 [O]: lossy * ratio + shift has the float network's moments."""

    plain_mean: np.ndarray
    lossy_mean: np.ndarray
    ratio: np.ndarray

    @property
    def shift(self) -> np.ndarray:
        return self.plain_mean - self.lossy_mean * self.ratio


def correction(plain: Samples, lossy: Samples, axis: int, *, deviation: bool) -> Correction:
    """axis: of the output channels. deviation: match it too; else every ratio is 1."""
    (plain_mean, want), (lossy_mean, have) = moments(plain, axis), moments(lossy, axis)
    smallest = SMALLEST * max(float(want.max(initial=0)), float(have.max(initial=0)))
    sound = (want > smallest) & (have > smallest)
    ratio = np.where(sound, want, 1.0) / np.where(sound, have, 1.0)
    ratio = np.clip(ratio, 1 / LARGEST_RATIO, LARGEST_RATIO) if deviation else np.ones_like(ratio)
    return Correction(plain_mean, lossy_mean, ratio)


def into_batch_norm(
    program: Program, op: BatchNormOp, plain_mean: np.ndarray, plain_var: np.ndarray, by: Correction
) -> None:
    """Sets the statistics of a batch norm that had `plain_mean` and `plain_var` [O] so that the correction is in it."""
    epsilon = float(np.float32(op.get("epsilon")))
    mean = by.lossy_mean - (by.plain_mean - plain_mean) / by.ratio
    var = np.maximum((plain_var.astype(np.float64) + epsilon) / by.ratio**2 - epsilon, 0)
    for i, array in ((3, mean), (4, var)):
        name = name_of(op.operands[i]) + ".calibrated"
        op.operands[i] = constant_before(program, op, name, array.astype(np.float32), op.operands[i])


def into_bias(program: Program, op: ConvOp | MatMulOp, by: Correction) -> None:
    """Adds the correction's shift [O] to a layer's result. Its weights have been multiplied by the ratio, which the
    bias of a convolution still has to be."""
    block, name = op.parent, name_of(op.operands[1]) + ".bias"
    assert block is not None
    if isinstance(op, ConvOp):
        bias = np.zeros(len(by.ratio)) if op.bias is None else program.array(op.bias)
        assert bias is not None
        value = constant_before(program, op, name, (bias * by.ratio + by.shift).astype(np.float32), op.w)
        attributes = {n: op.get(n) for n in ("strides", "pads", "dilations", "group")}
        replace(op, insert(op, ConvOp.make(op.x, op.w, value, at=op, **attributes)))
        return
    value = constant_before(program, op, name, by.shift.astype(np.float32), op.b)
    added = AddOp.make(op.result, value, at=op)
    block.insert_op_after(added, op)
    op.result.replace_uses_with_if(added.result, lambda use: use.operation is not added)
