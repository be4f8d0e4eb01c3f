"""Finds the integers inside float weights: w == float32(q * scale), exactly, per tensor or per output channel.

Trained ternary, binary, signed-binary and few-bit weights arrive as floats; here they become
`dequantize(integers, scale)`. Nothing is approximated: a tensor that is not exactly of this form stays float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.ir import Operation, SSAValue

from ..ir.locations import describe
from ..ir.program import Program
from ..ir.rewrite import erase_dead, insert, name_of
from ..ir.tn.constant import ConstantOp
from ..ir.tn.linear import ConvOp, MatMulOp
from ..ir.tn.quant import DequantizeOp
from .base import Pass
from .properties import NO_KERNELS, Property

MAX_LEVEL = 127


@dataclass(frozen=True)
class Integers:
    """q int8 of the weights' shape and a float32 scale that broadcasts against it."""

    q: np.ndarray
    scale: np.ndarray


def find_integers(w: np.ndarray, axis: int) -> Integers | None:
    """The integers and the scale of float weights: one scale for all when possible, else one per index of `axis`.

    w float32. None when no such form reproduces every weight bit for bit.
    """
    if w.size == 0 or not np.isfinite(w).all():
        return None
    whole = _with_one_scale(w.reshape(1, -1))
    if whole is not None:
        return Integers(whole.q.reshape(w.shape), whole.scale.reshape(()))
    rows = np.moveaxis(w, axis, 0)
    found = _with_one_scale(rows.reshape(len(rows), -1))
    if found is None:
        return None
    scale = found.scale.reshape([-1 if i == axis else 1 for i in range(w.ndim)])
    return Integers(np.ascontiguousarray(np.moveaxis(found.q.reshape(rows.shape), 0, axis)), scale)


def _with_one_scale(rows: np.ndarray) -> Integers | None:
    """Integers with one scale for each row [R, N]: the smallest magnitude, or a fraction of it, of the row."""
    magnitude = np.abs(rows)
    smallest = np.where(magnitude > 0, magnitude, np.inf).min(axis=1, initial=np.inf, keepdims=True)
    empty = ~np.isfinite(smallest)
    if np.all(rows == np.rint(rows)) and magnitude.max() <= MAX_LEVEL:
        if magnitude.max() <= 1 or not np.all(empty | (magnitude % np.where(empty, 1, smallest) == 0)):
            return Integers(rows.astype(np.int8), np.ones((len(rows), 1), np.float32))
    for divisor in (1, 2, 3):
        scale = np.where(empty, 1, smallest / np.float32(divisor)).astype(np.float32)
        if not scale.all():  # the smallest weight is too small to be divided
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            q = np.rint(rows / scale)
        if np.abs(q).max() <= MAX_LEVEL and np.array_equal((q * scale).astype(np.float32), rows):
            return Integers(q.astype(np.int8), scale)
    return None


def _weights_of(op: Operation) -> tuple[SSAValue, int] | None:
    """The weights of a convolution or product, and the axis of its output channels."""
    if isinstance(op, ConvOp):
        return op.w, 0
    return (op.b, -1) if isinstance(op, MatMulOp) else None


def _unclassified(program: Program) -> str:
    for op in program.ops:
        value, axis = _weights_of(op) or (None, 0)
        w = None if value is None else program.array(value)
        if w is not None and w.dtype == np.float32 and w.ndim > 1 and find_integers(w, axis % w.ndim) is not None:
            return f"the weights of {op.name} at {describe(op)} are integers times a scale"
    return ""


WEIGHTS_CLASSIFIED = Property("weights classified", _unclassified)


@dataclass(frozen=True)
class ClassifyWeights(Pass):
    """Float constants that convolutions and products multiply by become dequantized integers where that is exact."""

    name: ClassVar[str] = "classify-weights"
    requires: ClassVar = (NO_KERNELS,)
    ensures: ClassVar = (WEIGHTS_CLASSIFIED,)

    def apply(self, program: Program) -> bool:
        changed = False
        for op in program.ops:
            if (weights := _weights_of(op)) is not None:
                changed |= _classify(program, op, *weights)
        return changed | erase_dead(program)


def _classify(program: Program, op: Operation, value: SSAValue, axis: int) -> bool:
    w = program.array(value)
    if w is None or w.dtype != np.float32 or w.ndim < 2:
        return False
    found = find_integers(w, axis % w.ndim)
    if found is None:
        return False
    assert isinstance(value.owner, ConstantOp)
    q = insert(op, program.constant(name_of(value) + ".q", found.q, at=value.owner))
    scale = insert(op, program.constant(name_of(value) + ".scale", found.scale, at=value.owner))
    dequantized = insert(op, DequantizeOp.make(q, scale, at=value.owner))
    op.operands[list(op.operands).index(value)] = dequantized
    return True
