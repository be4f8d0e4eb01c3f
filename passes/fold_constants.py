"""Evaluates operations on constants once and for all, with the reference interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import Float32Type
from xdsl.ir import Operation

from ..backends.reference.interpreter import evaluate
from ..ir.program import Program
from ..ir.rewrite import erase_dead, name_of, remove, tighten
from ..ir.tn.constant import ConstantOp
from ..ir.tn.quant import DequantizeOp
from ..ir.types import Element, contains, element_of, element_of_array, storage_dtype
from .base import Pass
from .properties import NO_KERNELS

MAX_ELEMENTS = 1 << 28
"""Results larger than this (1 GiB of floats) stay computed at run time."""


@dataclass(frozen=True)
class FoldConstants(Pass):
    """Evaluates operations whose operands are all constants.

    A dequantize of a constant stays: it says which integers and which scale the floats came from. `everything` folds
    that too, once nothing looks for integers any more.
    """

    name: ClassVar[str] = "fold-constants"
    requires: ClassVar = (NO_KERNELS,)

    everything: bool = False

    def apply(self, program: Program) -> bool:
        changed = False
        for op in program.ops:
            if self._folds(op):
                _fold(program, op)
                changed = True
        changed |= erase_dead(program) | tighten(program)
        program.refresh_type()  # a returned value may have become a constant of a tighter type
        return changed

    def _folds(self, op: Operation) -> bool:
        if isinstance(op, ConstantOp) or (isinstance(op, DequantizeOp) and not self.everything):
            return False
        size = sum(int(np.prod(result.type.get_shape(), dtype=np.float64)) for result in op.results)  # type: ignore[attr-defined]
        return bool(op.operands) and all(isinstance(v.owner, ConstantOp) for v in op.operands) and size <= MAX_ELEMENTS


def _fold(program: Program, op: Operation) -> None:
    arrays = [program.array(value) for value in op.operands]
    values = evaluate(op, [_widened(a) for a in arrays if a is not None])
    for i, (result, value) in enumerate(zip(list(op.results), values, strict=True)):
        name = result.name_hint or name_of(op.operands[0])
        element = _tightest(element_of(result), value)
        stored = value.astype(storage_dtype(element))
        constant = program.constant(f"{name}.{i}" if i else name, stored, element=element, at=op)
        assert op.parent is not None
        op.parent.insert_op_before(constant, op)
        result.replace_all_uses_with(constant.result)
    remove(op)


def _widened(array: np.ndarray) -> np.ndarray:
    """As the interpreter holds it: float32 or int64."""
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=False)


def _tightest(declared: Element, value: np.ndarray) -> Element:
    if isinstance(declared, Float32Type):
        return declared
    found = element_of_array(value)
    return found if contains(declared, found) else declared
